// SPDX-License-Identifier: Apache-2.0
// The page around the chart: texts, buttons, mouse, touch and keys.
'use strict';

const $ = id => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const model = new Model(data);
const view = new View(model);
const painter = new Painter($('chart'), model, view);
let current = null; // {lane, index}: the entry that n and p walked to
let scheduled = false;
const laneHeightMin = 16; // unless all nodes are to be seen at once

function redraw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
        scheduled = false;
        painter.top = $('scroller').scrollTop;
        $('lanes').style.clipPath = `inset(${painter.top + painter.head}px 0 0 0)`; // names do not climb over the axis
        painter.draw();
        sayWhichLanes();
        drawOverview($('overview'), model, view, painter.colours);
        const step = view.span / 1000;
        $('range').value = `${formatTime(view.from, step)} to ${formatTime(view.to, step)}`;
    });
}

// ---- texts ----------------------------------------------------------------------------------------------------

function count(n, noun) {
    return `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
}

function sayWhichLanes() {
    const room = painter.height - painter.head;
    const first = Math.ceil(painter.top / painter.laneHeight);
    const last = Math.min(model.lanes.length, Math.floor((painter.top + room) / painter.laneHeight)) - 1;
    const all = last - first + 1 >= model.lanes.length;
    $('shown').value = all ? '' : `nodes ${first} to ${last} of ${model.lanes.length}: shift and wheel scroll`;
}

function fillTexts() {
    document.title = model.title;
    $('title').textContent = model.title;
    $('summary').textContent = `${count(model.lanes.length, 'node')}, ${formatTime(model.end, second / 1000)} of virtual time, ` +
        `${count(model.count, 'entry').replace('entrys', 'entries')}, of which ${count(model.messages.count, 'message')}`;
    if (model.dropped.length === 0) return;
    $('left-out').hidden = false;
    $('left-out').textContent = 'The run was longer than its record. Left out: ' + model.dropped
        .map(d => `${d.count.toLocaleString('en')} of kind ${d.kind} from ${formatTime(d.since, second / 1000)} on`).join('; ') + '.';
}

function fillLegend() {
    const item = (name, text) => {
        const li = document.createElement('li');
        const swatch = document.createElement('i');
        swatch.style.background = `var(--${name})`;
        li.append(swatch, text);
        li.dataset.name = text;
        $('legend').append(li);
    };
    for (const status of model.statuses) item(status.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase(), status);
    item('none', 'process without a status');
    item('fault', 'fault');
    item('unreachable', 'called unreachable');
    item('message', 'message');
    item('lost', 'lost message');
    const words = (sign, text) => {
        const li = document.createElement('li');
        if (sign !== '') {
            const b = document.createElement('b');
            b.textContent = sign;
            li.append(b);
        }
        li.append(text);
        $('legend').append(li);
    };
    words('|', 'a process starts');
    words('✕', 'it ends');
    words('◆', 'fault of an instant');
    words('', 'Upper bar: what the node calls itself; lower bar: what the others call it, by their share; ' +
              'below: messages sent, or their number where there are many.');
}

function fillLanes() {
    for (const lane of model.lanes) {
        const li = document.createElement('li');
        const button = document.createElement('button');
        button.textContent = button.title = model.laneName(lane.node);
        button.setAttribute('aria-pressed', 'false');
        button.addEventListener('click', () => select(painter.selected === lane.node ? null : lane.node));
        li.append(button);
        $('lanes').append(li);
    }
}

function layOut() {
    const room = $('scroller').clientHeight;
    const lanes = Math.max(1, model.lanes.length);
    const fitting = Math.floor((room - painter.head) / lanes);
    $('fitting').hidden = fitting >= laneHeightMin;
    painter.laneHeight = Math.max($('fit').checked ? 4 : laneHeightMin, Math.min(72, fitting));
    $('content').style.height = Math.max(room, painter.head + lanes * painter.laneHeight) + 'px';
    const every = Math.ceil(10 / painter.laneHeight); // names that have room
    Array.from($('lanes').children).forEach((li, node) => {
        li.style.top = painter.head + node * painter.laneHeight + 'px';
        li.style.height = painter.laneHeight + 'px';
        li.style.fontSize = Math.max(9, Math.min(13, painter.laneHeight - 4)) + 'px';
        li.style.lineHeight = painter.laneHeight + 'px';
        li.firstChild.style.color = node % every === 0 || node === painter.selected ? '' : 'transparent';
    });
    painter.resize($('content').clientWidth, room);
    redraw();
}

// ---- what is under the pointer --------------------------------------------------------------------------------

function statusText(status) {
    return status === undefined || status === null ? 'nothing' : model.statuses[status];
}

function viewsText(lane, when) {
    const alive = lane.lives.some(life => life.from <= when && when < life.to);
    const lines = [alive ? `calls itself: ${statusText(lane.own.get(when))}` : 'no process'];
    const counts = lane.others.get(when) ?? [];
    const others = counts.map((n, status) => n > 0 ? `${n} × ${model.statuses[status]}` : '').filter(Boolean);
    if (others.length > 0) lines.push(`others call it: ${others.join(', ')}`);
    const by = lane.unreachable.get(when) ?? [];
    if (by.length > 0) lines.push(`called unreachable by ${nodeList(by)}`);
    const accuses = lane.accuses.get(when) ?? [];
    if (accuses.length > 0) lines.push(`calls unreachable: ${nodeList(accuses)}`);
    for (const band of lane.faults.concat(model.everywhere))
        if (band.from <= when && when < band.to) lines.push(`fault: ${band.text}`);
    return lines;
}

function nodeList(nodes) {
    const shown = nodes.slice(0, 12).join(', ');
    return nodes.length > 12 ? `${shown} and ${nodes.length - 12} more` : shown;
}

function entryText(mark) {
    const about = mark.other >= 0 && mark.other !== mark.node ? ` ${model.laneName(mark.other)}` : '';
    switch (mark.kind) {
    case 'Life': return mark.phase === phases.begin ? `a process starts${mark.text ? ': ' + mark.text : ''}` : `the process ends: ${mark.text}`;
    case 'Status': return about ? `sees${about} as ${mark.text}` : `becomes ${mark.text}`;
    case 'Reachability': return mark.phase === phases.begin ? `calls${about} unreachable` : `no longer calls${about} unreachable`;
    case 'Fault': return mark.phase === phases.end ? `fault ends${mark.text ? ': ' + mark.text : ''}` : `fault: ${mark.text}`;
    default: return mark.text;
    }
}

function faultText(fault) {
    const step = Math.max(1, view.span / view.width);
    const times = fault.from === fault.to ? `at ${formatTime(fault.from, step)}`
        : `from ${formatTime(fault.from, step)} to ${fault.to < model.end ? formatTime(fault.to, step) : 'the end'}`;
    const whom = fault.nodes.length === 0 ? '' : `, node${fault.nodes.length === 1 ? '' : 's'} ${nodeList(fault.nodes)}`;
    return `${fault.text}\n${times}${whom}`;
}

function messageText(i) {
    const {sender, receiver, text, lost, from, to} = model.messages;
    const fate = lost[i] ? 'lost' : `${formatTime(to[i] - from[i], 1000)} on its way`;
    return `${model.laneName(sender[i])} to ${model.laneName(receiver[i])}: ${model.texts[text[i]]} (${fate})`;
}

function distanceToSegment(x, y, [x1, y1], [x2, y2]) {
    const squared = (x2 - x1) ** 2 + (y2 - y1) ** 2;
    const share = squared === 0 ? 0 : Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / squared));
    return Math.hypot(x - x1 - share * (x2 - x1), y - y1 - share * (y2 - y1));
}

function messagesNear(x, y, lane) {
    if (!painter.options.messages) return [];
    const {messages} = model;
    const reach = view.span / view.width * 4;
    const when = view.when(x);
    const [first, last] = messages.between(when - reach, when + reach);
    let counted = 0;
    const lines = [];
    for (let i = first; i < last; ++i) {
        if (!painter.isShown(i) || messages.to[i] < when - reach) continue;
        if (painter.aggregated) {
            if (messages.sender[i] === lane.node && Math.abs(messages.from[i] - when) <= reach) ++counted;
            continue;
        }
        const end = messages.lost[i] ? messages.from[i] : messages.to[i];
        const receiver = messages.lost[i] ? messages.sender[i] : messages.receiver[i];
        const distance = distanceToSegment(x, y, [view.x(messages.from[i]), painter.wire(messages.sender[i])],
                                           [view.x(end), painter.wire(receiver)]);
        if (distance > (messages.lost[i] ? painter.laneHeight / 2 : 5)) continue;
        if (++counted <= 4) lines.push(messageText(i));
    }
    if (painter.aggregated) return counted > 0 ? [`sends ${count(counted, 'message')} here: zoom in to see them`] : [];
    if (counted > lines.length) lines.push(`and ${count(counted - lines.length, 'more message')}`);
    return lines;
}

function entriesNear(x, lane) {
    const reach = view.span / view.width * 4;
    const when = view.when(x);
    const first = lowerBound(lane.markTimes, when - reach);
    const last = lowerBound(lane.markTimes, when + reach);
    const step = Math.max(1, view.span / view.width);
    const lines = lane.marks.slice(first, Math.min(last, first + 5)).map(mark => `${formatTime(mark.when, step)}: ${entryText(mark)}`);
    if (last - first > 5) lines.push(`and ${last - first - 5} more entries: zoom in to see them`);
    return lines;
}

function describe(x, y) {
    const lane = painter.laneAt(y);
    const when = view.when(x);
    if (x >= gutter && y < painter.head) return painter.faultsAt(y, when, view.span / view.width * 5).map(faultText).join('\n');
    if (lane === undefined || x < gutter) return '';
    const head = `${model.laneName(lane.node)} at ${formatTime(when, Math.max(1, view.span / view.width))}`;
    return [head, ...viewsText(lane, when), ...entriesNear(x, lane), ...messagesNear(x, y, lane)].join('\n');
}

function showHint(event) {
    const box = $('chart').getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const text = describe(x, y);
    const hint = $('hint');
    hint.hidden = text === '';
    hint.textContent = text;
    if (text === '') return;
    const {offsetWidth: width, offsetHeight: height} = hint;
    hint.style.left = Math.max(4, Math.min(event.clientX + 14, window.innerWidth - width - 8)) + 'px';
    const below = event.clientY + 18;
    hint.style.top = Math.max(4, below + height < window.innerHeight ? below : event.clientY - height - 12) + 'px';
}

// ---- choosing -------------------------------------------------------------------------------------------------

function select(node) {
    painter.selected = node;
    current = null;
    painter.cursor = null;
    Array.from($('lanes').children).forEach((li, i) => li.firstChild.setAttribute('aria-pressed', String(i === node)));
    $('details').textContent = node === null ? '' : `${model.laneName(node)}: ${count(model.lanes[node].marks.length, 'entry').replace('entrys', 'entries')}`;
    if (node !== null) {
        const top = painter.head + node * painter.laneHeight;
        const scroller = $('scroller');
        if (top - painter.head < scroller.scrollTop) scroller.scrollTop = top - painter.head;
        if (top + painter.laneHeight > scroller.scrollTop + scroller.clientHeight)
            scroller.scrollTop = top + painter.laneHeight - scroller.clientHeight;
    }
    redraw();
}

/** To the selected lane's next (1) or previous (-1) entry. */
function walk(direction) {
    if (painter.selected === null) select(0);
    const lane = model.lanes[painter.selected];
    if (lane === undefined || lane.marks.length === 0) return;
    let index;
    if (current !== null) index = current.index + direction;
    else index = direction > 0 ? lowerBound(lane.markTimes, view.from) : lowerBound(lane.markTimes, view.to) - 1;
    index = Math.min(Math.max(index, 0), lane.marks.length - 1);
    current = {index};
    const mark = lane.marks[index];
    painter.cursor = mark.when;
    if (mark.when < view.from || mark.when > view.to) view.show(mark.when - view.span / 2, mark.when + view.span / 2);
    $('details').textContent = `${model.laneName(lane.node)}, entry ${index + 1} of ${lane.marks.length}, ` +
        `${formatTime(mark.when, 1000)}: ${entryText(mark)}`;
    redraw();
}

// ---- input ----------------------------------------------------------------------------------------------------

function change(action) {
    action();
    $('hint').hidden = true;
    redraw();
}

const keys = {
    '+': () => view.zoom(0.5), '=': () => view.zoom(0.5), '-': () => view.zoom(2), '0': () => view.show(0, model.end),
    'Home': () => view.show(0, view.span), 'End': () => view.show(model.end - view.span, model.end),
    'ArrowLeft': () => view.move(-0.1), 'ArrowRight': () => view.move(0.1),
    'ArrowUp': () => select(Math.max(0, (painter.selected ?? 1) - 1)),
    'ArrowDown': () => select(Math.min(model.lanes.length - 1, (painter.selected ?? -1) + 1)),
    'n': () => walk(1), 'p': () => walk(-1), 'Escape': () => select(null),
};

function listenToKeys() {
    document.addEventListener('keydown', event => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        // A button that has the focus keeps Enter and Space, the checkboxes too.
        const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
        if (action === undefined) return;
        event.preventDefault();
        change(action);
    });
}

function listenToButtons() {
    const buttons = {'zoom-in': keys['+'], 'zoom-out': keys['-'], 'show-all': keys['0'],
                     'earlier': () => view.move(-0.3), 'later': () => view.move(0.3)};
    for (const [id, action] of Object.entries(buttons)) $(id).addEventListener('click', () => change(action));
    for (const option of ['messages', 'faults', 'unreachable', 'notes'])
        $('show-' + option).addEventListener('change', event => change(() => painter.options[option] = event.target.checked));
}

function listenToFit() {
    $('fit').addEventListener('change', () => {
        $('scroller').scrollTop = 0;
        layOut();
    });
}

function listenToWheel() {
    $('chart').addEventListener('wheel', event => {
        event.preventDefault();
        const pixels = event.deltaMode === 1 ? 30 : 1; // lines or pixels
        if (event.shiftKey) {
            $('scroller').scrollTop += (event.deltaY || event.deltaX) * pixels;
        } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
            view.move(event.deltaX * pixels / view.width);
        } else {
            const x = event.clientX - $('chart').getBoundingClientRect().left;
            view.zoom(Math.exp(event.deltaY * pixels / 400), view.when(Math.max(gutter, x)));
        }
        change(() => {});
    }, {passive: false});
}

/** Dragging moves; two fingers also zoom. */
function listenToPointers() {
    const chart = $('chart');
    const pointers = new Map();
    const spread = () => {
        const xs = Array.from(pointers.values(), p => p.x);
        return {middle: xs.reduce((a, b) => a + b) / xs.length, width: Math.max(...xs) - Math.min(...xs)};
    };
    chart.addEventListener('pointerdown', event => {
        chart.setPointerCapture(event.pointerId);
        pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    });
    chart.addEventListener('pointermove', event => {
        if (!pointers.has(event.pointerId)) return showHint(event);
        const before = spread();
        const last = pointers.get(event.pointerId);
        pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
        const after = spread();
        view.move((before.middle - after.middle) / view.width);
        if (before.width > 10 && after.width > 10)
            view.zoom(before.width / after.width, view.when(after.middle - chart.getBoundingClientRect().left));
        $('scroller').scrollTop -= (event.clientY - last.y) / pointers.size;
        change(() => {});
    });
    const end = event => pointers.delete(event.pointerId);
    chart.addEventListener('pointerup', end);
    chart.addEventListener('pointercancel', end);
    chart.addEventListener('pointerleave', () => $('hint').hidden = true);
}

function listenToOverview() {
    const overview = $('overview');
    const go = event => {
        if (event.buttons === 0) return;
        const box = overview.getBoundingClientRect();
        const when = (event.clientX - box.left) / box.width * model.end;
        change(() => view.show(when - view.span / 2, when + view.span / 2));
    };
    overview.addEventListener('pointerdown', event => {
        overview.setPointerCapture(event.pointerId);
        go(event);
    });
    overview.addEventListener('pointermove', go);
}

fillTexts();
fillLegend();
fillLanes();
listenToKeys();
listenToButtons();
listenToFit();
listenToWheel();
listenToPointers();
listenToOverview();
$('scroller').addEventListener('scroll', redraw);
new ResizeObserver(layOut).observe($('scroller'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => change(() => painter.readColours()));
layOut();
