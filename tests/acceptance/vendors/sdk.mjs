// Signs or verifies one webhook with a vendor's own package. stdin: {package, key, id, now, headers, body (base64)};
// It runs in the folder that has the packages. stdout: the headers that it signs with, where `headers` is null, else whether it accepts them.
const given = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (piece) => (text += piece)).on("end", () => resolve(text));
}));
const body = Buffer.from(given.body, "base64").toString();
const load = (name) => import(name);

const packages = {
  async octokit() {
    const { sign, verify } = await load("@octokit/webhooks-methods");
    if (given.headers === null) return { "X-Hub-Signature-256": await sign(given.key, body) };
    return verify(given.key, body, given.headers["X-Hub-Signature-256"]);
  },
  async stripe() {
    const { default: Stripe } = await load("stripe");
    const webhooks = Stripe.webhooks ?? new Stripe("sk_test_x").webhooks;
    if (given.headers === null) {
      const header = webhooks.generateTestHeaderString({ payload: body, secret: given.key, timestamp: given.now });
      return { "Stripe-Signature": header };
    }
    webhooks.constructEvent(body, given.headers["Stripe-Signature"], given.key);
    return true;
  },
  async standardwebhooks() {
    const { Webhook } = await load("standardwebhooks");
    const webhook = new Webhook(given.key);
    if (given.headers === null) {
      const signature = webhook.sign(given.id, new Date(given.now * 1000), body);
      return { "webhook-id": given.id, "webhook-timestamp": String(given.now), "webhook-signature": signature };
    }
    webhook.verify(body, given.headers);
    return true;
  },
  async paddle() {
    const { Paddle } = await load("@paddle/paddle-node-sdk");
    const paddle = new Paddle("pdl_test_x");
    return paddle.webhooks.isSignatureValid(body, given.key, given.headers["Paddle-Signature"]);
  },
  async shopify() {
    await load("@shopify/shopify-api/adapters/node");
    const { shopifyApi, ApiVersion } = await load("@shopify/shopify-api");
    const apiVersion = Object.values(ApiVersion).at(-1);
    const shopify = shopifyApi({
      ...{ apiKey: "x", apiSecretKey: given.key, scopes: [], hostName: "x", isEmbeddedApp: false, apiVersion },
      logger: { log: () => {} },
    });
    const headers = {
      ...{ "x-shopify-topic": "orders/create", "x-shopify-shop-domain": "x.myshopify.com", "x-shopify-webhook-id": "1" },
      ...{ "x-shopify-api-version": apiVersion, "x-shopify-hmac-sha256": given.headers["X-Shopify-Hmac-Sha256"] },
    };
    const answer = await shopify.webhooks.validate({ rawBody: body, rawRequest: { headers }, rawResponse: {} });
    return answer.valid;
  },
};

let answer;
try {
  answer = await packages[given.package]();
} catch (error) {
  answer = { error: `${error.name}: ${error.message}` };
}
process.stdout.write(JSON.stringify(answer));
