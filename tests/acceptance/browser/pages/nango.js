// What a customer's page does with @nangohq/frontend. The package is named by esbuild's alias: its old or its new release.
import Nango from "nango";

const make = (host) => new Nango({ host, publicKey: "pk_test", websocketsPath: "/ws" });

const outcomeOf = async (promise) => {
  try {
    return { answer: await promise };
  } catch (error) {
    return { error: error.constructor === TypeError ? "TypeError" : "AuthError", message: error.message, type: error.type };
  }
};

window.authorize = (host, integration, connection, hmac) =>
  outcomeOf(make(host).auth(integration, connection, { hmac, credentials: { apiKey: "sk-1" } }));

window.create = (host, integration, connection, hmac) => outcomeOf(make(host).create(integration, connection, { hmac }));

window.popup = (host, integration, connection, hmac) => {
  window.outcome = outcomeOf(make(host).auth(integration, connection, { hmac }));
};
