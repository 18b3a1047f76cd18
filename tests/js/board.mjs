// What people do on the live board, and what they see there.

const text = (page, id) => page.textContent(`#${id}`);

export async function connected(page) {
  await page.waitForFunction(() => document.getElementById("state").textContent === "Connected");
  await page.waitForFunction(() => document.getElementById("transport").textContent === "websocket");
}

export async function says(page, state) {
  await page.waitForFunction((wanted) => document.getElementById("state").textContent === wanted, state);
}

export const notice = async (page) => (await page.isVisible("#notice") ? text(page, "notice-text") : "");
export const reconnects = async (page) => Number(await text(page, "reconnects"));

/** The name of the process that serves a page; it says so a moment after it has connected. */
export async function processOf(page) {
  await page.waitForFunction(() => document.getElementById("process").textContent !== "–");
  return text(page, "process");
}

export async function submit(page, message) {
  await page.fill("#publish-channel", "lobby");
  await page.fill("#publish-message", message);
  await page.press("#publish-message", "Enter");
}

/** Publish, and see it accepted. */
export async function publish(page, message) {
  await submit(page, message);
  await page.waitForFunction(() => document.getElementById("publish-message").value === "");
}

export const shows = (page, message) => page.locator("#channels li", { hasText: message }).waitFor();

export async function subscribed(page, channel = "lobby") {
  await page.locator("#channels h3", { hasText: channel }).waitFor();
}

export async function subscribe(page, channel) {
  await page.fill("#subscribe-channel", channel);
  await page.press("#subscribe-channel", "Enter");
  await subscribed(page, channel);
}

/** Everything in the channel, oldest first: the numbers of updates, and the texts of gaps. */
export async function entries(page) {
  const all = await page.locator("#channels li").evaluateAll((items) => items.map((item) => (
    item.classList.contains("gap") ? item.textContent : Number(item.querySelector(".sequence").textContent)
  )));
  return all.reverse();
}
