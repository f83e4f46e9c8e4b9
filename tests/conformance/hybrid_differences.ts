export const HYBRID_DIFFERENCES: ReadonlyMap<string, string> = new Map();
