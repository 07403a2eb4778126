// The staff pages in the browser. Sends 'staff_open' once, 'staff_act' for a press on [data-act],
// 'staff_form' for a form[data-form]; data-event="split", "filter" or "label" makes
// either of them 'staff_split', 'staff_filter' or 'staff_label' instead (Gradio takes events whose quoted names stand in here).
// A transcript is opened by the address's #id, so that going back works.
const $ = (selector, root = document) => root.querySelector(selector);
let opener = null, lastAct = "";

function localTimes() {
  document.querySelectorAll("time:not([data-local])").forEach((time) => {
    time.dataset.local = "1";
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" });
  });
  const here = location.pathname.split("/").pop();
  document.querySelectorAll(".k-nav a").forEach((link) => {
    if (link.dataset.page === here) link.setAttribute("aria-current", "page");
  });
}
let isDue = false;
new MutationObserver(() => {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; localTimes(); });
}).observe($("gradio-app"), { childList: true, subtree: true, characterData: true });

function closePanel() {
  document.body.classList.remove("k-with-panel");
  if (opener && opener.isConnected) opener.focus();
  opener = null;
}

const press = (button) => {
  if (button.dataset.confirm && !window.confirm(button.dataset.confirm)) return;
  if (button.dataset.panel) opener = button;
  lastAct = button.dataset.act;
  trigger(`staff_${button.dataset.event || "act"}`, { ...button.dataset });
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  if (button.dataset.act === "close") closePanel(); else press(button);
});
const sendForm = (form, submitter) => {
  clearTimeout(pending);
  trigger(`staff_${form.dataset.event || "form"}`, { form: form.dataset.form, ...Object.fromEntries(new FormData(form, submitter)) });
};
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-form]");
  if (!form) return;
  event.preventDefault();
  sendForm(form, event.submitter);
});
// A form that shows what it would do says so again whenever something in it changes.
let pending = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-live]");
  clearTimeout(pending);
  if (form) pending = setTimeout(() => { if (form.isConnected && form.checkValidity()) sendForm(form); }, 300);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("k-with-panel")) closePanel();
});

const showHash = () => {
  const id = decodeURIComponent(location.hash.slice(1));
  document.body.classList.toggle("k-detail", /^[0-9a-f]{16,}$/.test(id));
  if (document.body.classList.contains("k-detail")) { trigger("staff_act", { act: "show", id }); window.scrollTo(0, 0); }
};
window.addEventListener("hashchange", showHash);
window.kefuPanel = () => setTimeout(() => {
  const panel = $("#k-panel .k-panel"), heading = $("#k-panel h2");
  document.body.classList.toggle("k-with-panel", Boolean(panel));
  const changed = $("#k-panel [data-focus]");
  if (changed) { changed.focus(); changed.removeAttribute("data-focus"); }
  else if (heading && opener && !panel.contains(document.activeElement)) heading.focus({ preventScroll: true });
}, 50);
window.kefuTop = () => setTimeout(() => {
  const shown = (lastAct === "replace" && $("#k-replace")) || $("#k-line .k-notice");
  if (shown) shown.scrollIntoView({ block: "center" });
}, 50);
window.kefuSplit = () => setTimeout(() => {
  const shown = $("#k-line .k-notice") || $("#k-split-form h2");
  if (shown && (lastAct === "split" || $("#k-line .k-notice"))) shown.scrollIntoView({ block: "start" });
  lastAct = "";
}, 50);
// An address that was taken in is no longer to be added.
window.kefuAdded = () => setTimeout(() => {
  const form = $("#k-form form");
  if (form && $("#k-line .k-added")) form.reset();
  window.kefuTop();
}, 50);
// What was saved may differ from what was typed: show the new defaults.
window.kefuSaved = () => setTimeout(() => {
  const form = $("#k-company form");
  if (form && $("#k-line .k-saved")) form.reset();
  window.kefuTop();
}, 50);

trigger("staff_open", {});
showHash();
