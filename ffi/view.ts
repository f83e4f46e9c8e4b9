/**
 * Where the bytes of a view lie, by the language's own getters. A subclass, or members of the view
 * itself, may say something else, and a call that believed them would write past the bytes.
 *
 * @module
 */

type Getter<T> = (this: ArrayBufferView) => T;

function getter<T>(of: object, name: PropertyKey): Getter<T> {
  return Object.getOwnPropertyDescriptor(of, name)!.get as Getter<T>;
}

const TypedArray: typeof Uint8Array = Object.getPrototypeOf(Uint8Array);
const TYPED_ARRAY: object = TypedArray.prototype;
const DATA_VIEW: object = DataView.prototype;

const kind = getter<string | undefined>(TYPED_ARRAY, Symbol.toStringTag);
const arrayBuffer = getter<ArrayBufferLike>(TYPED_ARRAY, "buffer");
const arrayOffset = getter<number>(TYPED_ARRAY, "byteOffset");
const arrayLength = getter<number>(TYPED_ARRAY, "byteLength");
const dataBuffer = getter<ArrayBufferLike>(DATA_VIEW, "buffer");
const dataOffset = getter<number>(DATA_VIEW, "byteOffset");
const dataLength = getter<number>(DATA_VIEW, "byteLength");

/** The class that the language has `value` for, e.g. `"Uint8Array"`, where it is a typed array. */
export function kindOf(value: unknown): string | undefined {
  return kind.call(value as ArrayBufferView);
}

/** Whether `view` is no DataView. Quickly: where it only says so, the getters throw. */
function isArray(view: ArrayBufferView): boolean {
  return view instanceof TypedArray || kind.call(view) !== undefined;
}

/** `view.buffer`. */
export function bufferOf(view: ArrayBufferView): ArrayBufferLike {
  return isArray(view) ? arrayBuffer.call(view) : dataBuffer.call(view);
}

/** `view.byteOffset`. */
export function byteOffsetOf(view: ArrayBufferView): number {
  return isArray(view) ? arrayOffset.call(view) : dataOffset.call(view);
}

/** `view.byteLength`: 0 of a typed array that has lost its bytes. */
export function byteLengthOf(view: ArrayBufferView): number {
  return isArray(view) ? arrayLength.call(view) : dataLength.call(view);
}

/** The bytes of `view`, whatever its class. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(bufferOf(view), byteOffsetOf(view), byteLengthOf(view));
}

/** `view`, or its bytes without its class: that may make something else of `subarray()`. */
export function plainView(view: Uint8Array): Uint8Array {
  return view.constructor === Uint8Array ? view : bytesOf(view);
}
