// The customer chat in the browser: what Gradio cannot know. Runs once, when the composer is shown.
// Events sent to the server: 'chat_open' 'chat_send' 'chat_again' 'chat_stop' 'chat_person'
// 'chat_rate' 'chat_score' 'chat_cite'. This browser's conversations live in localStorage, newest first.
const STORE = "kefu.conversations", CURRENT = "kefu.current", KEPT = 50;
const $ = (selector, root = document) => root.querySelector(selector);
const box = $("#k-text", element), form = $("#k-form", element);
// isLeaving: another conversation was chosen while an answer streamed; what still comes is the old one's.
let isBusy = false, isLeaving = false, sent = "", opener = null;

const read = (key, fallback) => {
  try { return JSON.parse(localStorage.getItem(key)) ?? fallback; } catch { return fallback; }
};
const write = (key, value) => {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* private mode: this page only */ }
};
let current = read(CURRENT, null) || {};
const call = (name, more = {}) => trigger(name, { id: current.id || "", token: current.token || "", ...more });

function setBusy(busy) {
  isBusy = busy;
  $("#k-send", element).hidden = busy;
  $("#k-stop", element).hidden = !busy;
  document.body.classList.toggle("k-busy", busy);
}

function send(text) {
  text = text.trim();
  if (!text || isBusy) return;
  sent = text;
  isLeaving = false;
  box.value = "";
  grow();
  setBusy(true);
  const id = crypto.randomUUID ? crypto.randomUUID() : String(Date.now()) + Math.random();
  call("chat_send", { text, client_id: id });
}

function grow() {
  box.style.height = "auto";
  box.style.height = Math.min(box.scrollHeight, 160) + "px";
}

function scrollDown() {
  const page = document.scrollingElement;
  if (page.scrollHeight - page.scrollTop - page.clientHeight < 320) page.scrollTop = page.scrollHeight;
}

function localTimes(root) {
  root.querySelectorAll("time:not([data-local])").forEach((time) => {
    const at = new Date(time.dateTime);
    time.dataset.local = "1";
    time.title = time.textContent;
    time.textContent = at.toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" });
  });
}

function remember(log) {
  const { id, token, title } = log.dataset;
  if (!id || !token) return;
  if (!isLeaving) {
    current = { id, token };
    write(CURRENT, current);
  }
  const others = read(STORE, []).filter((one) => one.id !== id);
  write(STORE, [{ id, token, title: title || "", at: Date.now() }, ...others].slice(0, KEPT));
  listHistory();
}

function listHistory() {
  const list = $("#k-history");
  const known = read(STORE, []);
  list.replaceChildren(...known.map((one) => {
    const item = document.createElement("li"), open = document.createElement("button");
    open.type = "button";
    open.textContent = one.title || list.dataset.untitled;
    open.dataset.act = "reopen";
    open.dataset.id = one.id;
    if (one.id === current.id) open.setAttribute("aria-current", "true");
    item.append(open);
    return item;
  }));
  $("#k-no-history").hidden = known.length > 0;
}

function forgetMissing() {
  if (!$("#k-live .k-gone")) return;
  write(STORE, read(STORE, []).filter((one) => one.id !== current.id));
  current = {};
  write(CURRENT, null);
  listHistory();
}

function closePanel() {
  document.body.classList.remove("k-with-panel");
  if (opener && opener.isConnected) opener.focus();
  opener = null;
}

function switchTo(conversation) {
  if (isBusy) call("chat_stop");
  isLeaving = isBusy;
  current = conversation;
  write(CURRENT, conversation.id ? conversation : null);
  closePanel();
  $("#k-past").open = false;
  call("chat_open");
  listHistory();
  box.focus();
}

const acts = {
  ask: (button) => send(button.dataset.text),
  cite: (button) => { opener = button; call("chat_cite", { message: button.dataset.message, n: button.dataset.n }); },
  close: closePanel,
  regenerate: (button) => { if (!isBusy) { setBusy(true); call("chat_again", { message: button.dataset.message }); } },
  up: (button) => call("chat_rate", { message: button.dataset.message, value: "up" }),
  down: (button) => {
    const feedback = button.closest("article").querySelector(".k-feedback");
    feedback.hidden = !feedback.hidden;
    if (!feedback.hidden) feedback.querySelector("input").focus();
  },
  "cancel-feedback": (button) => { button.closest("form").hidden = true; },
  score: (button) => call("chat_score", { value: button.dataset.value }),
  person: () => call("chat_person"),
  fresh: () => switchTo({}),
  reopen: (button) => switchTo(read(STORE, []).find((one) => one.id === button.dataset.id) || {}),
  halt: () => call("chat_stop"),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  const act = button && acts[button.dataset.act];
  if (act) act(button);
});
document.addEventListener("submit", (event) => {
  const feedback = event.target.closest(".k-feedback");
  if (!feedback) return;
  event.preventDefault();
  const given = new FormData(feedback);
  const reason = feedback.querySelector("input:checked");
  feedback.hidden = true;
  call("chat_rate", {
    message: feedback.dataset.message, value: "down",
    reason: reason ? reason.value : "", comment: String(given.get("comment") || ""),
  });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("k-with-panel")) closePanel();
});
form.addEventListener("submit", (event) => { event.preventDefault(); send(box.value); });
box.addEventListener("input", grow);
box.addEventListener("keydown", (event) => {
  // Enter that confirms a Chinese input method's choice must not send: 229 is Safari's sign of it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  send(box.value);
});

const observe = (selector, react) => {
  const target = $(selector);
  new MutationObserver(() => react(target)).observe(target, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["data-id"] });
};
observe("#k-log", (target) => {
  const log = $(".k-log", target);
  if (log) {
    if (!isBusy && (log.dataset.id || "") === (current.id || "")) isLeaving = false;
    remember(log); localTimes(target);
  }
  scrollDown();
});
observe("#k-live", (target) => {
  forgetMissing();
  if ($(".k-error", target) && !$(".k-failed", target) && sent && !box.value) { box.value = sent; sent = ""; grow(); }
  scrollDown();
});
const showPanel = () => {
  const target = $("#k-panel"), heading = $("#k-source", target), mark = $("mark", target);
  document.body.classList.toggle("k-with-panel", Boolean($(".k-panel, .k-error", target)));
  if (mark) mark.scrollIntoView({ block: "center" });
  if (heading) heading.focus({ preventScroll: true });
};
window.kefuPanel = () => setTimeout(showPanel, 50);
window.kefuDone = () => {
  setBusy(false);
  sent = "";
  if (isLeaving) call("chat_open"); // the old answer's last words stand where the chosen one belongs
};

listHistory();
call("chat_open");
