// The console works without this file. It copies, checks while the user types, sends a form once, and removes secrets from a page
// that is left.
"use strict";
for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.querySelector(button.dataset.copy);
  if (!source || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}
// A browser may keep a page that was left, to show it again on "Back".
function wipe() {
  for (const field of document.querySelectorAll("[data-wipe]")) {
    if (field.value === undefined) { field.textContent = ""; continue; }
    field.value = "";
    field.removeAttribute("value");
    field.defaultValue = "";
  }
}
addEventListener("pagehide", wipe);
addEventListener("pageshow", (event) => { if (event.persisted) { wipe(); location.reload(); } });
// A second click would take the place of the first answer, which alone has the secret.
for (const form of document.querySelectorAll("form[data-once]")) {
  const disable = (disabled) => form.querySelectorAll("button").forEach((button) => { button.disabled = disabled; });
  form.addEventListener("submit", () => {
    // Later, because a disabled button is not sent.
    setTimeout(disable, 0, true);
    // No event says that the user has stopped the page from loading.
    setTimeout(disable, 10_000, false);
  });
  addEventListener("pageshow", () => { disable(false); });
}
// Check while the user types: the same form, sent the same way, half a second after the last key.
const live = document.querySelector("form[data-live]");
if (live) {
  let timer = 0, asked = 0;
  live.addEventListener("input", () => {
    clearTimeout(timer);
    // An answer to older input, also one that comes later, is none to this.
    asked++;
    document.querySelector(".live").replaceChildren();
    timer = setTimeout(async () => {
      const number = asked;
      const isComplete = [...live.querySelectorAll("[required], [data-needed]")].every((field) => field.value);
      const sent = { method: "POST", body: new URLSearchParams(new FormData(live)) };
      const text = isComplete ? await fetch(live.action, sent).then((answer) => answer.text()).catch(() => "") : "";
      // An answer without a result, such as one that refuses the form, leaves none of other input.
      const found = new DOMParser().parseFromString(text, "text/html").querySelector(".live")?.children ?? [];
      if (number === asked) document.querySelector(".live").replaceChildren(...found);
    }, 500);
  });
}
// A login link has its token after the "#", which browsers do not send.
const login = document.querySelector("form[data-login]");
if (login && location.hash.length > 1) {
  login.elements.token.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  login.requestSubmit();
}
