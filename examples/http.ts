/** Serves and fetches over the loopback, with bodies that stream both ways. */
import { connect, listen } from "@vsockit/vsockit";
import { createFetch, serve } from "@vsockit/vsockit/http";
import { createLoopback } from "@vsockit/vsockit/loopback";

const transport = createLoopback();
const address = { cid: 1, port: 8080 };

await using _server = serve(listen(address, { transport }), async (request, { remoteAddr }) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/echo") return new Response(request.body); // streams
  return Response.json({ pathname, cid: remoteAddr.cid, text: await request.text() });
});

using client = createFetch({ connect: () => connect(address, { transport }) });

const about = await client.fetch("http://guest/about", { method: "POST", body: "hello" });
console.log(about.status, await about.text());

const body = new Blob(["one ", "two ", "three"]).stream();
const echo = await client.fetch("http://guest/echo", { method: "POST", body });
console.log(echo.status, await echo.text());
