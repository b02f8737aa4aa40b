"use strict";
// A map of images: points on a canvas, and what can be done with them. All data is in this page; nothing is fetched.
(() => {
  const $ = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const data = JSON.parse($("data").textContent);
  const { names, groups } = data;
  const n = names.length;
  const xy = new Float32Array(bytes(data.xy));
  const codes = new Uint16Array(bytes(data.codes));
  const sides = new Uint8Array(bytes(data.sides));
  const plot = $("plot");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // What is seen: the centre of the view in coordinates of the map, and pixels a unit.
  const view = { x: 0, y: 0, scale: 1 };
  const size = { width: 0, height: 0, ratio: 1 };
  const hidden = new Uint8Array(groups.length);
  let matches = null;
  let chosen = null;

  const screenX = (i) => (xy[2 * i] - view.x) * view.scale + size.width / 2;
  const screenY = (i) => size.height / 2 - (xy[2 * i + 1] - view.y) * view.scale;
  const mapX = (px) => (px - size.width / 2) / view.scale + view.x;
  const mapY = (py) => (size.height / 2 - py) / view.scale + view.y;
  const visible = (i) => !hidden[codes[i]];
  const every = function* (keep) { for (let i = 0; i < n; i++) if (keep(i)) yield i; };

  // --- drawing ---

  // No group lies on top of all others: points are drawn in an order that is shuffled, and always the same.
  const shuffled = new Uint32Array(n).map((_, i) => i);
  for (let i = n - 1, state = 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = state % (i + 1);
    [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
  }
  const order = new Uint32Array(n);
  const colours = new Uint8Array(4 * n);
  let faint = 0; // of `order`, the points drawn small, below the others
  let drawn = 0;

  function rgb(hex) {
    const parts = [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
    const light = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    // Dark colours would be lost on dark paper.
    return dark.matches && light < 90 ? parts.map((part) => Math.round(part + (255 - part) * 0.4)) : parts;
  }

  function arrange() {
    const marked = chosen || matches;
    const table = groups.map((group) => rgb(group.colour));
    let last = n;
    faint = 0;
    for (const i of shuffled) {
      if (!visible(i)) continue;
      const strong = marked && marked[i];
      if (strong) order[--last] = i;
      else order[faint++] = i;
      colours.set([...table[codes[i]], marked && !strong ? 40 : 215], 4 * i);
    }
    order.copyWithin(faint, last);
    drawn = faint + n - last;
    painter.load();
    redraw();
  }

  function withWebGL() {
    const gl = plot.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    if (!gl) return null;
    const program = gl.createProgram();
    const shader = (kind, text) => {
      const made = gl.createShader(kind);
      gl.shaderSource(made, text);
      gl.compileShader(made);
      gl.attachShader(program, made);
    };
    shader(gl.VERTEX_SHADER, `#version 300 es
      in vec2 place; in vec4 colour; uniform vec2 centre, scale; uniform float size; out vec4 shade;
      void main() { gl_Position = vec4((place - centre) * scale, 0, 1); gl_PointSize = size; shade = colour; }`);
    shader(gl.FRAGMENT_SHADER, `#version 300 es
      precision highp float; in vec4 shade; uniform float size; out vec4 pixel;
      void main() {
        float edge = 1.0 - smoothstep(size / 2.0 - 1.0, size / 2.0, length(gl_PointCoord - 0.5) * size);
        float alpha = shade.a * edge; pixel = vec4(shade.rgb * alpha, alpha);
      }`);
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
    gl.useProgram(program);
    const buffers = { place: gl.createBuffer(), colour: gl.createBuffer(), order: gl.createBuffer() };
    const attribute = (name, values, kind, width, normalised) => {
      const location = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, width, kind, normalised, 0, 0);
    };
    attribute("place", xy, gl.FLOAT, 2, false);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const uniform = (name) => gl.getUniformLocation(program, name);
    return {
      load() {
        attribute("colour", colours, gl.UNSIGNED_BYTE, 4, true);
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.order);
        gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
      },
      draw(radius) {
        gl.viewport(0, 0, plot.width, plot.height);
        gl.clear(gl.COLOR_BUFFER_BIT);
        gl.uniform2f(uniform("centre"), view.x, view.y);
        gl.uniform2f(uniform("scale"), (2 * view.scale) / size.width, (2 * view.scale) / size.height);
        for (const [from, to, factor] of [[0, faint, 1], [faint, drawn, 1.5]]) {
          gl.uniform1f(uniform("size"), Math.max(2, 2 * radius * factor * size.ratio));
          gl.drawElements(gl.POINTS, to - from, gl.UNSIGNED_INT, 4 * from);
        }
      },
    };
  }

  function withCanvas() {
    const pen = plot.getContext("2d");
    return {
      load() {},
      draw(radius) {
        pen.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
        pen.clearRect(0, 0, size.width, size.height);
        for (let place = 0; place < drawn; place++) {
          const i = order[place];
          const side = 2 * radius * (place < faint ? 0.9 : 1.4);
          const [r, g, b, a] = colours.subarray(4 * i, 4 * i + 4);
          pen.fillStyle = `rgb(${r} ${g} ${b} / ${a / 255})`;
          pen.fillRect(screenX(i) - side / 2, screenY(i) - side / 2, side, side);
        }
      },
    };
  }

  let painter = withWebGL();
  if (!painter) painter = withCanvas();
  plot.addEventListener("webglcontextlost", (event) => event.preventDefault());
  plot.addEventListener("webglcontextrestored", () => { painter = withWebGL(); arrange(); });

  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const base = Math.min(4, Math.max(1.1, 190 / Math.sqrt(n)));
      painter.draw(Math.min(9, base * Math.max(1, view.scale / whole) ** 0.4));
      writeNames();
      if (!performance.getEntriesByName("drawn").length) performance.mark("drawn");
    });
  }

  function resize() {
    Object.assign(size, { width: innerWidth, height: innerHeight, ratio: devicePixelRatio || 1 });
    plot.width = Math.round(size.width * size.ratio);
    plot.height = Math.round(size.height * size.ratio);
    redraw();
  }

  // --- the view ---

  let whole = 1; // the scale at which all is seen
  function bounds(points) {
    const edge = { left: Infinity, right: -Infinity, low: Infinity, high: -Infinity };
    for (const i of points) {
      edge.left = Math.min(edge.left, xy[2 * i]); edge.right = Math.max(edge.right, xy[2 * i]);
      edge.low = Math.min(edge.low, xy[2 * i + 1]); edge.high = Math.max(edge.high, xy[2 * i + 1]);
    }
    return edge;
  }
  const edge = bounds(every(() => true));
  function frame({ left, right, low, high }, closest = Infinity) {
    if (left > right) return;
    // On a wide screen the map stands beside the legend; on one that is narrow and tall, between header and legend.
    const wide = size.width > 760, tall = !wide && size.height > size.width;
    const beside = wide ? $("legend").offsetWidth + 16 : 0;
    const above = tall ? document.querySelector("header").offsetHeight + 8 : 0;
    const below = tall ? $("legend").offsetHeight + 8 : 0;
    const [width, height] = [Math.max(right - left, 1e-6), Math.max(high - low, 1e-6)];
    // A long list of what was found may leave no room between them.
    const free = Math.max(size.height - above - below, size.height / 4);
    const fits = Math.min((size.width - beside) / width, free / height);
    view.scale = Math.min(fits, closest / 0.9) * 0.9;
    view.x = (left + right) / 2 + beside / 2 / view.scale;
    view.y = (low + high) / 2 + (above - below) / 2 / view.scale;
    redraw();
  }
  function home() { frame(edge); whole = view.scale; hideCard(); }
  function zoom(factor, px = size.width / 2, py = size.height / 2) {
    const scale = Math.min(whole * 2000, Math.max(whole / 4, view.scale * factor));
    const [x, y] = [mapX(px), mapY(py)];
    view.scale = scale;
    view.x = x - (px - size.width / 2) / scale;
    view.y = y + (py - size.height / 2) / scale;
    redraw();
  }
  function pan(dx, dy) { view.x -= dx / view.scale; view.y += dy / view.scale; redraw(); }

  // --- names of groups, each where it is densest: the largest first, none upon another ---

  const dense = 24; // cells a side in which the densest place of a group is looked for
  const anchors = !data.named ? [] : groups.map((group, code) => ({ code, count: group.count, cells: new Map() }));
  if (anchors.length) {
    const cell = (value, low, high) => Math.min(dense - 1, Math.floor(((value - low) / (high - low || 1)) * dense));
    for (let i = 0; i < n; i++) {
      const [x, y] = [xy[2 * i], xy[2 * i + 1]];
      const key = cell(y, edge.low, edge.high) * dense + cell(x, edge.left, edge.right);
      const { cells } = anchors[codes[i]];
      const sum = cells.get(key) || [0, 0, 0];
      cells.set(key, [sum[0] + 1, sum[1] + x, sum[2] + y]);
    }
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `600 13px ${getComputedStyle(document.body).fontFamily}`;
    for (const anchor of anchors) {
      const [count, x, y] = [...anchor.cells.values()].reduce((a, b) => (b[0] > a[0] ? b : a), [0, 0, 0]);
      const letters = [...groups[anchor.code].name];
      anchor.text = letters.length > 28 ? `${letters.slice(0, 27).join("")}…` : letters.join("");
      Object.assign(anchor, { x: x / count, y: y / count, width: pen.measureText(anchor.text).width });
    }
    anchors.sort((a, b) => b.count - a.count);
  }
  function writeNames() {
    const written = [];
    const free = (px, py, width) =>
      written.every((other) => Math.abs(other.px - px) > (other.width + width) / 2 + 6 || Math.abs(other.py - py) > 17);
    for (const { code, count, text, x, y, width } of $("naming").getAttribute("aria-pressed") === "true" ? anchors : []) {
      if (!count || hidden[code] || code === data.nothing) continue;
      const [px, py] = [(x - view.x) * view.scale + size.width / 2, size.height / 2 - (y - view.y) * view.scale];
      const seen = Math.abs(px - size.width / 2) < (size.width + width) / 2 && py > -9 && py < size.height + 9;
      if (seen && free(px, py, width)) written.push({ px, py, text, width });
      if (written.length === 80) break;
    }
    $("names").replaceChildren(...written.map(({ px, py, text }) => {
      const made = document.createElementNS($("names").namespaceURI, "text");
      made.setAttribute("x", px);
      made.setAttribute("y", py);
      made.textContent = text;
      return made;
    }));
  }
  $("naming").hidden = !anchors.length;
  $("naming").onclick = () => {
    $("naming").setAttribute("aria-pressed", String($("naming").getAttribute("aria-pressed") !== "true"));
    redraw();
  };

  // --- which image lies where: points sorted into a grid ---

  const cells = Math.max(1, Math.ceil(Math.sqrt(n / 2)));
  const within = (value) => Math.min(cells - 1, Math.max(0, Math.floor(value)));
  const column = (x) => within(((x - edge.left) / (edge.right - edge.left || 1)) * cells);
  const row = (y) => within(((y - edge.low) / (edge.high - edge.low || 1)) * cells);
  const starts = new Uint32Array(cells * cells + 1);
  const sorted = new Uint32Array(n);
  const cellOf = (i) => row(xy[2 * i + 1]) * cells + column(xy[2 * i]);
  for (let i = 0; i < n; i++) starts[cellOf(i) + 1]++;
  for (let cell = 0; cell < cells * cells; cell++) starts[cell + 1] += starts[cell];
  const filled = starts.slice();
  for (let i = 0; i < n; i++) sorted[filled[cellOf(i)]++] = i;

  function nearest(px, py, reach = 14) {
    let [best, least] = [-1, reach * reach];
    const [x, y, far] = [mapX(px), mapY(py), reach / view.scale];
    for (let r = row(y - far); r <= row(y + far); r++) {
      for (let place = starts[r * cells + column(x - far)]; place < starts[r * cells + column(x + far) + 1]; place++) {
        const i = sorted[place];
        const distance = (screenX(i) - px) ** 2 + (screenY(i) - py) ** 2;
        if (distance < least && visible(i)) [best, least] = [i, distance];
      }
    }
    return best;
  }

  // --- pictures: sheets of thumbnails, read when they are first needed, the last few kept ---

  const sheets = new Map();
  function sheet(number) {
    const found = sheets.get(number) || (() => {
      const source = $(`sheet-${number}`);
      const image = new Image();
      if (source) image.src = `data:image/webp;base64,${source.textContent}`;
      return image.decode().then(() => image, () => null);
    })();
    sheets.delete(number);
    sheets.set(number, found);
    if (sheets.size > 8) sheets.delete(sheets.keys().next().value);
    return found;
  }
  async function picture(canvas, i, longest) {
    const [width, height] = [sides[2 * i], sides[2 * i + 1]];
    canvas.hidden = !width;
    if (!width) return;
    const factor = longest / Math.max(width, height);
    canvas.width = Math.round(width * factor * size.ratio);
    canvas.height = Math.round(height * factor * size.ratio);
    canvas.style.width = `${Math.round(width * factor)}px`;
    canvas.dataset.image = i;
    const image = await sheet(Math.floor(i / data.tiles));
    if (!image || canvas.dataset.image !== String(i)) return;
    const place = i % data.tiles;
    const [left, top] = [(place % data.across) * data.side, Math.floor(place / data.across) * data.side];
    canvas.getContext("2d").drawImage(image, left, top, width, height, 0, 0, canvas.width, canvas.height);
    canvas.dataset.drawn = i;
  }

  const card = $("card");
  let shown = -1;
  function hideCard() { card.hidden = true; shown = -1; }
  function showCard(i) {
    if (i < 0) return hideCard();
    if (i !== shown) {
      shown = i;
      card.hidden = false;
      card.children[1].textContent = names[i];
      card.children[2].textContent = groups[codes[i]].name;
      picture(card.children[0], i, 128);
    }
    const [px, py] = [screenX(i), screenY(i)];
    const left = px + 14 + card.offsetWidth > size.width ? px - 14 - card.offsetWidth : px + 14;
    card.style.left = `${Math.max(4, left)}px`;
    card.style.top = `${Math.max(4, Math.min(py - 20, size.height - card.offsetHeight - 4))}px`;
  }

  // --- pointers: drag to pan, two to pinch, with Shift or in lasso mode to draw around images ---

  const pointers = new Map();
  let loop = null;
  let moved = 0;
  const span = () => {
    const [a, b] = [...pointers.values()];
    return { length: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved = 0;
    loop = pointers.size === 1 && (lassoing() || event.shiftKey) ? [[event.clientX, event.clientY]] : null;
  });
  plot.addEventListener("pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return showCard(nearest(event.clientX, event.clientY));
    const before = pointers.size === 2 ? span() : null;
    const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
    moved += Math.abs(dx) + Math.abs(dy);
    Object.assign(pointer, { x: event.clientX, y: event.clientY });
    if (loop) {
      loop.push([event.clientX, event.clientY]);
      $("loop").setAttribute("d", `M${loop.join("L")}Z`);
    } else if (before) {
      const after = span();
      pan(after.x - before.x, after.y - before.y);
      zoom(after.length / before.length, after.x, after.y);
    } else pan(dx, dy);
    hideCard();
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (loop && loop.length > 2 && event.type === "pointerup") choose(inside(loop));
    if (moved < 4 && event.type === "pointerup") showCard(nearest(event.clientX, event.clientY, 20));
    loop = null;
    $("loop").removeAttribute("d");
  };
  for (const kind of ["pointerup", "pointercancel"]) plot.addEventListener(kind, release);
  plot.addEventListener("pointerleave", hideCard);
  plot.addEventListener("dblclick", home);
  plot.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 30 : 1);
    zoom(Math.exp(-Math.max(-200, Math.min(200, pixels)) / 300), event.clientX, event.clientY);
    showCard(nearest(event.clientX, event.clientY));
  }, { passive: false });

  function inside(polygon) {
    return [...every((i) => {
      if (!visible(i)) return false;
      const [px, py] = [screenX(i), screenY(i)];
      let odd = false;
      for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
        const [[ax, ay], [bx, by]] = [polygon[a], polygon[b]];
        if (ay > py !== by > py && px < ((bx - ax) * (py - ay)) / (by - ay) + ax) odd = !odd;
      }
      return odd;
    })];
  }

  // --- choosing, and what is chosen as a file ---

  let list = [];
  const say = (text) => { $("status").textContent = text; };
  const counted = (count) => `${count.toLocaleString("en")} ${count === 1 ? "image" : "images"}`;
  function choose(images) {
    list = images;
    chosen = images.length ? new Uint8Array(n) : null;
    for (const i of images) chosen[i] = 1;
    $("chosen").hidden = !chosen;
    $("count").textContent = `${counted(images.length)} chosen`;
    $("strip").replaceChildren(...images.slice(0, 40).map((i) => {
      const tile = document.createElement("canvas");
      tile.title = names[i];
      picture(tile, i, 44);
      return tile;
    }));
    say(images.length ? `${counted(images.length)} chosen` : "");
    arrange();
  }
  // What the command line takes: of two images with one name, the id.
  const spelled = (i) => data.ids[i] || names[i];
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const asText = () => list.map((i) => `${spelled(i)}\n`).join("");
  const label = (i) => (codes[i] === data.nothing ? "" : groups[codes[i]].name);
  const asCsv = () => `image,label\n${list.map((i) => `${quoted(spelled(i))},${quoted(label(i))}\n`).join("")}`;
  function save(name, kind, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: `${kind};charset=utf-8` }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  $("text").onclick = () => save("images.txt", "text/plain", asText());
  $("csv").onclick = () => save("images.csv", "text/csv", asCsv());
  $("copy").onclick = async () => {
    try {
      await navigator.clipboard.writeText(asText());
      say(`${counted(list.length)} copied`);
    } catch {
      say("The browser does not let this page copy; save the names as text");
    }
  };
  $("clear").onclick = () => choose([]);
  const lassoing = () => $("lasso").getAttribute("aria-pressed") === "true";
  $("lasso").onclick = () => {
    $("lasso").setAttribute("aria-pressed", String(!lassoing()));
    plot.classList.toggle("drawing", lassoing());
  };
  $("reset").onclick = home;

  // --- search ---

  let lowered = null;
  function search() {
    const query = $("query").value.trim().toLowerCase();
    lowered ||= names.map((name) => name.toLowerCase());
    const found = query ? [...every((i) => visible(i) && lowered[i].includes(query))] : [];
    matches = query ? new Uint8Array(n) : null;
    for (const i of found) matches[i] = 1;
    const head = document.createElement("div");
    head.className = "bar";
    head.append(`${counted(found.length)} found`);
    const button = (text, act) => Object.assign(document.createElement("button"), { textContent: text, onclick: act });
    if (found.length) head.append(button("Show", () => frame(bounds(found), whole * 40)), button("Choose", () => choose(found)));
    const lines = found.slice(0, 8).map((i) => button(names[i], () => { frame(bounds([i]), whole * 8); showCard(i); }));
    for (const line of lines) line.dir = "auto";
    $("found").replaceChildren(head, ...lines);
    $("found").hidden = !query;
    arrange();
    return found;
  }
  let timer = 0;
  $("query").oninput = () => { clearTimeout(timer); timer = setTimeout(search, 120); };
  $("query").onkeydown = (event) => {
    if (event.key === "Escape") { $("query").value = ""; search(); plot.focus(); }
    if (event.key !== "Enter") return;
    clearTimeout(timer);
    const found = search();
    frame(bounds(found), whole * (found.length === 1 ? 8 : 40));
    if (found.length) showCard(found[0]);
  };

  // --- the legend: a click hides or shows a group, a double click shows it alone ---

  const entries = groups.map((group, code) => {
    const line = document.createElement("button");
    line.append(document.createElement("i"), document.createElement("bdi"), document.createElement("span"));
    line.children[1].textContent = line.title = group.name;
    if (code === data.nothing) line.className = "nothing";
    line.children[2].textContent = group.count.toLocaleString("en");
    line.onclick = (event) => (event.shiftKey ? alone(code) : show([code], hidden[code]));
    line.ondblclick = () => alone(code);
    return line;
  });
  function show(which, on) {
    for (const code of which) hidden[code] = on ? 0 : 1;
    legend();
    arrange();
  }
  function alone(code) { hidden.fill(1); show([code], true); }
  function legend() {
    entries.forEach((line, code) => {
      line.setAttribute("aria-pressed", String(!hidden[code]));
      line.children[0].style.background = `rgb(${rgb(groups[code].colour)})`;
    });
    $("all").hidden = !hidden.includes(1);
  }
  $("groups").append(...entries.map((line) => {
    const item = document.createElement("li");
    item.append(line);
    return item;
  }));
  $("all").onclick = () => show(groups.keys(), true);

  // --- keys ---

  const keys = {
    ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: home, l: () => $("lasso").click(),
    n: () => $("naming").click(),
    "/": () => $("query").focus(), Escape: () => { choose([]); hideCard(); },
  };
  addEventListener("keydown", (event) => {
    if (event.target === $("query") || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
    if (event.key !== "Escape" && shown >= 0) showCard(shown);
  });

  $("title").textContent = data.title;
  $("note").textContent = data.note;
  $("by").textContent = data.by;
  plot.setAttribute("aria-label", `${data.title}. Arrow keys move, plus and minus zoom, 0 shows all, / searches.`);
  dark.addEventListener("change", () => { legend(); arrange(); });
  addEventListener("resize", resize);
  resize();
  legend();
  home();
  arrange();
  // Where an image is on the screen, for whoever scripts this page.
  window.mapOfImages = { place: (i) => [screenX(i), screenY(i)] };
})();
