#pragma once

#include <string_view>

namespace tocsin::tools {

// The inbox's page: lists what has arrived and looks for more every two seconds.  Texts of senders are
// only ever set as text; a mail's HTML is shown in a frame that may do nothing.
inline constexpr std::string_view kInboxPage = R"html(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tocsin inbox</title>
<style>
  :root { color-scheme: light dark; --line: #8884; }
  body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
  header { display: flex; gap: 1rem; align-items: baseline; }
  h1 { font-size: 1.2rem; margin: 0; flex: 1; }
  article { border: 1px solid var(--line); border-left: 4px solid #28a; border-radius: 4px; margin: .8rem 0; padding: .5rem .8rem; }
  article.firing { border-left-color: #c33; }
  article.resolved { border-left-color: #2a4; }
  .meta { font-size: .85em; opacity: .75; display: flex; gap: .8rem; }
  h2 { font-size: 1rem; margin: .2rem 0; overflow-wrap: anywhere; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; font: inherit; }
  details pre { font: 12px/1.4 ui-monospace, monospace; max-height: 24rem; overflow: auto; }
  iframe { width: 100%; height: 24rem; border: 1px solid var(--line); background: #fff; }
</style>
<header><h1>tocsin inbox</h1><span id="state"></span><button id="clear">Clear</button></header>
<main id="list"><p>Nothing has arrived yet.</p></main>
<script>
  const list = document.getElementById('list'), state = document.getElementById('state');
  let last = -1;
  const make = (tag, text, parent, kind) => {
    const e = document.createElement(tag);
    if (text) e.textContent = text;
    if (kind) e.className = kind;
    parent.append(e);
    return e;
  };
  const folded = (parent, title, fill) => {
    const d = make('details', '', parent);
    make('summary', title, d);
    d.addEventListener('toggle', () => { if (d.open && !d.dataset.full) { d.dataset.full = 1; fill(d); } });
  };
  const show = m => {
    const a = document.createElement('article');
    a.className = m.status;
    const meta = make('div', '', a, 'meta');
    make('span', new Date(m.receivedAt).toLocaleTimeString(), meta);
    make('span', m.kind, meta);
    make('span', m.to, meta);
    make('h2', m.title, a);
    make('pre', m.text, a);
    if (m.html) folded(a, 'as HTML', d => {
      const f = make('iframe', '', d);
      f.setAttribute('sandbox', '');
      f.srcdoc = m.html;
    });
    folded(a, 'as received', d => make('pre', m.raw, d));
    return a;
  };
  async function look() {
    try {
      const messages = await (await fetch('api/messages')).json();
      const newest = messages.length ? messages[messages.length - 1].id : 0;
      state.textContent = messages.length + (messages.length === 1 ? ' message' : ' messages');
      if (newest !== last) {
        last = newest;
        list.replaceChildren(...messages.reverse().map(show));
        if (!messages.length) make('p', 'Nothing has arrived yet.', list);
      }
    } catch (e) { state.textContent = 'the inbox does not answer'; }
    setTimeout(look, 2000);
  }
  document.getElementById('clear').onclick = async () => { await fetch('api/messages', { method: 'DELETE' }); last = -1; };
  look();
</script>
</html>
)html";

}  // namespace tocsin::tools
