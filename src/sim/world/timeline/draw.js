// SPDX-License-Identifier: Apache-2.0
// Draws a Model through a View onto the chart's canvas. Knows nothing of input.
'use strict';

const gutter = 120;         // px: the names of the lanes
const axisHeight = 24;
const faultRow = 16;        // px: a row of faults below the axis
const messagesMax = 2500;   // more visible ones are drawn as counts
const arrowsMax = 300;      // more visible ones are drawn behind the lanes, so that these can be read
const second = 1e9;

/** What part of the timeline is on the screen. */
class View {
    constructor(model) {
        this.model = model;
        this.from = 0;
        this.to = model.end;
        this.width = 1; // px of the chart beside the gutter
    }
    get span() { return this.to - this.from; }
    x(when) { return gutter + (when - this.from) / this.span * this.width; }
    when(x) { return this.from + (x - gutter) / this.width * this.span; }
    /** Keeps at least a microsecond, and never leaves what was recorded. */
    show(from, to) {
        const span = Math.min(Math.max(to - from, 1000), this.model.end);
        this.from = Math.min(Math.max(from, 0), this.model.end - span);
        this.to = this.from + span;
    }
    zoom(factor, around = this.from + this.span / 2) {
        const span = Math.min(Math.max(this.span * factor, 1000), this.model.end);
        const share = (around - this.from) / this.span;
        this.show(around - share * span, around - share * span + span);
    }
    move(share) {
        this.show(this.from + share * this.span, this.to + share * this.span);
    }
}

/** Seconds, with as many decimals as differences of `step` nanoseconds need. */
function formatTime(when, step) {
    const decimals = Math.min(9, Math.max(0, Math.ceil(-Math.log10(step / second) - 1e-9)));
    return (when / second).toFixed(decimals) + ' s';
}

/** 1, 2 or 5 times a power of ten, at least `wanted`. */
function niceStep(wanted) {
    const power = 10 ** Math.floor(Math.log10(wanted));
    return [1, 2, 5, 10].map(f => f * power).find(step => step >= wanted);
}

function readColours(statuses) {
    const style = getComputedStyle(document.documentElement);
    const get = name => style.getPropertyValue('--' + name).trim();
    const kebab = name => name.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
    const colours = {status: statuses.map(name => get(kebab(name)))};
    for (const name of ['paper', 'paper-2', 'ink', 'ink-2', 'line', 'accent', 'fault', 'fault-paper', 'unreachable', 'message', 'lost', 'none'])
        colours[name] = get(name);
    return colours;
}

/** Black or white, whichever can be read on `#rrggbb`. */
function inkOn(colour) {
    const [r, g, b] = [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16));
    return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? '#000000' : '#ffffff';
}

class Painter {
    constructor(canvas, model, view) {
        this.canvas = canvas;
        this.context = canvas.getContext('2d');
        this.model = model;
        this.view = view;
        this.top = 0; // scrolled away, px
        this.laneHeight = 40;
        this.options = {messages: true, faults: true, unreachable: true, notes: false};
        this.selected = null; // a lane's number
        this.cursor = null;   // nanoseconds
        this.readColours();
    }

    readColours() {
        this.colours = readColours(this.model.statuses);
    }

    resize(width, height) {
        const ratio = window.devicePixelRatio || 1;
        this.width = width;
        this.height = height;
        this.canvas.width = Math.round(width * ratio);
        this.canvas.height = Math.round(height * ratio);
        this.canvas.style.height = height + 'px';
        this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
        this.view.width = Math.max(1, width - gutter);
    }

    /** What stands above the lanes: the axis, and the faults by name. */
    get head() { return axisHeight + (this.model.faultRows > 0 ? this.model.faultRows * faultRow + 3 : 0); }
    laneTop(node) { return this.head + node * this.laneHeight - this.top; }
    laneAt(y) {
        const node = Math.floor((y - this.head + this.top) / this.laneHeight);
        return y < this.head ? undefined : this.model.lanes[node];
    }
    /** The faults of the row at `y` that are, within `reach` nanoseconds, at `when`. */
    faultsAt(y, when, reach) {
        const row = Math.floor((y - axisHeight) / faultRow);
        if (!this.options.faults || y < axisHeight || y >= this.head) return [];
        return this.model.faults.filter(f => f.row === row && f.from <= when + reach && when - reach <= f.to);
    }
    /** The parts of a lane, from its upper edge. Small lanes have no room for gaps. */
    get parts() {
        const h = this.laneHeight;
        const own = {top: h * 0.14, height: h * 0.4};
        const others = {top: own.top + own.height + h * 0.04, height: h * 0.16};
        const unreachable = {top: others.top + others.height + h * 0.04, height: Math.max(2, h * 0.08)};
        return {own, others, unreachable};
    }
    wire(node) { return this.laneTop(node) + this.parts.own.top + this.parts.own.height / 2; }

    draw() {
        const {context: c, colours} = this;
        c.font = '12px system-ui, sans-serif';
        c.textBaseline = 'middle';
        c.fillStyle = colours.paper;
        c.fillRect(0, 0, this.width, this.height);
        c.save();
        c.beginPath();
        c.rect(gutter, 0, this.width - gutter, this.height);
        c.clip();
        const visible = this.visibleLanes();
        this.drawBackground(visible);
        if (this.options.faults) this.drawFaults(visible);
        const messages = this.options.messages ? this.countMessages() : 0;
        if (messages > arrowsMax) this.drawMessages(visible, messages);
        for (const lane of visible) this.drawLane(lane);
        if (messages > 0 && messages <= arrowsMax) this.drawMessages(visible, messages);
        for (const lane of visible) this.drawMarks(lane);
        this.drawAxis();
        this.drawFaultNames();
        if (this.cursor !== null) this.verticalLine(this.view.x(this.cursor), colours.accent);
        c.restore();
        c.fillStyle = colours.paper;
        c.fillRect(0, 0, gutter, this.head);
        c.fillStyle = colours['ink-2'];
        if (this.model.faultRows > 0) c.fillText('faults', 6, axisHeight + faultRow / 2);
    }

    visibleLanes() {
        const first = Math.max(0, Math.floor(this.top / this.laneHeight));
        const last = Math.ceil((this.top + this.height - this.head) / this.laneHeight);
        return this.model.lanes.slice(first, last);
    }

    drawBackground(visible) {
        const {context: c, colours} = this;
        for (const lane of visible) {
            const y = this.laneTop(lane.node);
            c.fillStyle = lane.node % 2 === 0 ? colours.paper : colours['paper-2'];
            c.fillRect(gutter, y, this.width, this.laneHeight);
            if (lane.node !== this.selected) continue;
            c.globalAlpha = 0.12;
            c.fillStyle = colours.accent;
            c.fillRect(gutter, y, this.width, this.laneHeight);
            c.globalAlpha = 1;
        }
        for (const when of this.gridLines()) this.verticalLine(this.view.x(when), colours.line);
    }

    gridStep() { return niceStep(this.view.span * 120 / this.view.width); }
    gridLines() {
        const step = this.gridStep();
        const lines = [];
        for (let n = Math.ceil(this.view.from / step); n * step <= this.view.to; ++n) lines.push(n * step);
        return lines;
    }

    verticalLine(x, colour) {
        this.context.fillStyle = colour;
        this.context.fillRect(Math.round(x), 0, 1, this.height);
    }

    drawAxis() {
        const {context: c, colours, view} = this;
        c.fillStyle = colours.paper;
        c.fillRect(gutter, 0, this.width, axisHeight);
        c.fillStyle = colours.line;
        c.fillRect(gutter, axisHeight - 1, this.width, 1);
        c.fillStyle = colours['ink-2'];
        for (const when of this.gridLines()) {
            const text = formatTime(when, this.gridStep());
            const left = view.x(when) + 4;
            if (left + c.measureText(text).width <= this.width) c.fillText(text, left, axisHeight / 2);
        }
    }

    /** The rows below the axis: each fault once, with its text, where no message is drawn. */
    drawFaultNames() {
        const {context: c, colours, view, model} = this;
        if (model.faultRows === 0) return;
        c.fillStyle = colours.paper;
        c.fillRect(gutter, axisHeight, this.width, this.head - axisHeight);
        c.fillStyle = colours.line;
        c.fillRect(gutter, this.head - 1, this.width, 1);
        if (!this.options.faults) return;
        const next = new Array(model.faultRows).fill(this.width); // where the following one of that row begins
        for (const fault of model.faults.toReversed()) {
            const left = view.x(fault.from);
            if (left <= this.width && view.x(fault.to) >= gutter) this.drawFaultName(fault, left, next[fault.row]);
            next[fault.row] = Math.min(next[fault.row], left);
        }
    }

    drawFaultName(fault, from, room) {
        const {context: c, colours, view} = this;
        const top = axisHeight + fault.row * faultRow + 2;
        const height = faultRow - 3;
        const isPoint = fault.from === fault.to;
        const left = Math.max(gutter, from);
        const right = Math.min(this.width, Math.max(view.x(fault.to), left + 2));
        if (isPoint) {
            this.diamond(from, top + height / 2, colours.fault);
        } else {
            this.fill(left, right, top, height, colours['fault-paper']);
            this.fill(left, right, top + height - 2, 2, colours.fault);
            if (from >= gutter) this.fill(left, left + 2, top, height, colours.fault);
        }
        const text = this.shortened(fault.text, room - left - (isPoint ? 12 : 8));
        c.fillStyle = colours.ink;
        c.font = '11px system-ui, sans-serif';
        c.fillText(text, left + (isPoint ? 9 : 5), top + height / 2 + 0.5);
        c.font = '12px system-ui, sans-serif';
    }

    /** As much of `text` as fits into so many pixels; nothing rather than a letter or two. */
    shortened(text, pixels) {
        const c = this.context;
        c.font = '11px system-ui, sans-serif';
        if (pixels < 24) return '';
        if (c.measureText(text).width <= pixels) return text;
        let length = Math.floor(text.length * pixels / c.measureText(text).width);
        while (length > 0 && c.measureText(text.slice(0, length) + '…').width > pixels) --length;
        return length < 3 ? '' : text.slice(0, length) + '…';
    }

    drawFaults(visible) {
        for (const band of this.model.everywhere) this.drawBand(band, this.head, this.height - this.head);
        for (const lane of visible)
            for (const band of lane.faults) this.drawBand(band, this.laneTop(lane.node), this.laneHeight);
    }

    drawBand(band, top, height) {
        const {context: c, colours, view} = this;
        if (band.to < view.from || band.from > view.to) return;
        const left = Math.max(gutter - 2, view.x(band.from));
        const right = Math.min(this.width + 2, Math.max(view.x(band.to), left + 2));
        c.fillStyle = colours.fault;
        c.globalAlpha = 0.22;
        c.fillRect(left, top, right - left, height);
        c.globalAlpha = 0.9;
        c.fillRect(left, top, right - left, 2);
        if (view.x(band.from) >= gutter) c.fillRect(left, top, 1, height);
        if (view.x(band.to) <= this.width) c.fillRect(right - 1, top, 1, height);
        c.globalAlpha = 1;
    }

    drawLane(lane) {
        const {own, others, unreachable} = this.parts;
        const top = this.laneTop(lane.node);
        this.drawLives(lane, top + own.top, own.height);
        this.eachStep(lane.own, (left, right, status) => {
            if (status !== null) this.drawStatus(left, right, top + own.top, own.height, status);
        });
        this.eachStep(lane.others, (left, right, counts) => this.drawCounts(left, right, top + others.top, others.height, counts));
        if (this.options.unreachable)
            this.eachStep(lane.unreachable, (left, right, by) => {
                if (by.length === 0) return;
                this.context.globalAlpha = Math.min(1, 0.45 + by.length * 0.15);
                this.fill(left, right, top + unreachable.top, unreachable.height, this.colours.unreachable);
                this.context.globalAlpha = 1;
            });
    }

    drawLives(lane, top, height) {
        const {context: c, colours, view} = this;
        for (const life of lane.lives) {
            if (life.to < view.from || life.from > view.to) continue;
            this.fill(view.x(life.from), Math.max(view.x(life.to), view.x(life.from) + 1), top, height, colours.none);
        }
        c.fillStyle = colours.line;
        c.fillRect(gutter, top + height / 2, this.width, 1);
    }

    drawStatus(left, right, top, height, status) {
        const {context: c, colours, model} = this;
        this.fill(left, right, top, height, colours.status[status]);
        const from = Math.max(left, gutter) + 4;
        const name = model.statuses[status];
        if (height < 11 || right - from < c.measureText(name).width + 4) return;
        c.fillStyle = inkOn(colours.status[status]);
        c.fillText(name, from, top + height / 2 + 1);
    }

    /** As high for each status as there are nodes that say so. */
    drawCounts(left, right, top, height, counts) {
        const all = counts.reduce((sum, n) => sum + n, 0);
        let y = top;
        counts.forEach((n, status) => {
            if (n === 0) return;
            this.fill(left, right, y, height * n / all, this.colours.status[status]);
            y += height * n / all;
        });
    }

    fill(left, right, top, height, colour) {
        const from = Math.max(left, gutter - 1);
        this.context.fillStyle = colour;
        this.context.fillRect(from, top, Math.min(right, this.width + 1) - from, height);
    }

    /** Calls `paint(left, right, value)` for what is visible; of several steps in one pixel only for the last. */
    eachStep(steps, paint) {
        const {view} = this;
        const {at, values} = steps;
        let i = Math.max(0, steps.indexAt(view.from));
        while (i < at.length && at[i] <= view.to) {
            const left = view.x(at[i]);
            let last = i;
            while (last + 1 < at.length && view.x(at[last + 1]) < left + 0.7) ++last;
            const end = last + 1 < at.length ? at[last + 1] : this.model.end;
            paint(left, Math.max(view.x(end), left + 1), values[last]);
            i = last + 1;
        }
    }

    /** Messages of the selected node, or all. */
    isShown(i) {
        const {messages} = this.model;
        return this.selected === null || messages.sender[i] === this.selected || messages.receiver[i] === this.selected;
    }

    countMessages() {
        const [first, last] = this.model.messages.between(this.view.from, this.view.to);
        if (this.selected === null) return last - first;
        let shown = 0;
        for (let i = first; i < last; ++i) shown += this.isShown(i) ? 1 : 0;
        return shown;
    }

    drawMessages(visible, shown) {
        const [first, last] = this.model.messages.between(this.view.from, this.view.to);
        this.aggregated = shown > messagesMax;
        if (this.aggregated) return this.drawMessageCounts(visible, first, last);
        for (let i = first; i < last; ++i) if (this.isShown(i)) this.drawMessage(i, shown <= arrowsMax);
    }

    drawMessage(i, withHead) {
        const {context: c, colours, view, model: {messages}} = this;
        const [x1, y1] = [view.x(messages.from[i]), this.wire(messages.sender[i])];
        const [x2, y2] = [view.x(messages.to[i]), this.wire(messages.receiver[i])];
        if (Math.max(y1, y2) < this.head || Math.min(y1, y2) > this.height) return;
        c.strokeStyle = c.fillStyle = messages.lost[i] ? colours.lost : colours.message;
        c.globalAlpha = withHead ? 0.75 : 0.45;
        if (messages.lost[i]) {
            const y = y1 + Math.sign(y2 - y1) * this.laneHeight * 0.4;
            this.line(x1, y1, x1, y);
            this.line(x1 - 3, y - 3, x1 + 3, y + 3);
            this.line(x1 - 3, y + 3, x1 + 3, y - 3);
        } else {
            this.line(x1, y1, x2, y2);
            if (withHead) this.arrowHead(x1, y1, x2, y2);
        }
        c.globalAlpha = 1;
    }

    line(x1, y1, x2, y2) {
        const c = this.context;
        c.beginPath();
        c.moveTo(x1, y1);
        c.lineTo(x2, y2);
        c.stroke();
    }

    arrowHead(x1, y1, x2, y2) {
        const c = this.context;
        const angle = Math.atan2(y2 - y1, x2 - x1);
        c.beginPath();
        c.moveTo(x2, y2);
        for (const side of [-0.35, 0.35]) c.lineTo(x2 - 7 * Math.cos(angle + side), y2 - 7 * Math.sin(angle + side));
        c.fill();
    }

    /** How many messages each node sends in each pixel, as a tick of that height (by its logarithm) on the lane's lower edge. */
    drawMessageCounts(visible, first, last) {
        const {view, colours, model: {messages}} = this;
        const columns = Math.ceil(view.width) + 1;
        const base = visible.length > 0 ? visible[0].node : 0;
        const sent = new Uint32Array(columns * visible.length);
        const lost = new Uint32Array(columns * visible.length);
        for (let i = first; i < last; ++i) {
            const column = Math.floor(view.x(messages.from[i]) - gutter);
            const row = messages.sender[i] - base;
            if (column < 0 || column >= columns || row < 0 || row >= visible.length || !this.isShown(i)) continue;
            ++(messages.lost[i] ? lost : sent)[row * columns + column];
        }
        const unit = this.laneHeight * 0.4 / Math.log2(Math.max(2, 1 + Math.max(maximum(sent), maximum(lost))));
        for (const [counts, colour] of [[sent, colours.message], [lost, colours.lost]]) {
            this.context.fillStyle = colour;
            this.context.globalAlpha = 0.6;
            for (let k = 0; k < counts.length; ++k) {
                if (counts[k] === 0) continue;
                const height = Math.max(1, Math.log2(1 + counts[k]) * unit);
                const bottom = this.laneTop(base + Math.floor(k / columns)) + this.laneHeight;
                this.context.fillRect(gutter + k % columns, bottom - height, 1, height);
            }
            this.context.globalAlpha = 1;
        }
    }

    /** Starts and ends of lives, faults of an instant, and notes when they are asked for. */
    drawMarks(lane) {
        const {context: c, colours, view} = this;
        const {top, height} = this.parts.own;
        const y = this.laneTop(lane.node) + top;
        const first = lowerBound(lane.markTimes, view.from);
        const last = lowerBound(lane.markTimes, view.to + 1);
        for (let i = first; i < last; ++i) {
            const mark = lane.marks[i];
            const x = view.x(mark.when);
            if (mark.kind === 'Life') this.drawLifeMark(mark, x, y, height);
            else if (mark.kind === 'Fault' && mark.phase === phases.point && this.options.faults)
                this.diamond(x, y + height / 2, colours.fault);
            else if (mark.kind === 'Note' && this.options.notes) this.diamond(x, y + height / 2, colours['ink-2']);
        }
        c.lineWidth = 1;
    }

    drawLifeMark(mark, x, y, height) {
        const {context: c, colours} = this;
        c.strokeStyle = c.fillStyle = colours.ink;
        if (mark.phase === phases.begin) {
            c.fillRect(x, y - 2, 2, height + 4);
        } else {
            const r = Math.max(3, Math.min(6, height / 2));
            const middle = y + height / 2;
            c.lineWidth = 2;
            this.line(x - r, middle - r, x + r, middle + r);
            this.line(x - r, middle + r, x + r, middle - r);
        }
    }

    diamond(x, y, colour) {
        const c = this.context;
        c.fillStyle = colour;
        c.beginPath();
        c.moveTo(x, y - 5);
        c.lineTo(x + 5, y);
        c.lineTo(x, y + 5);
        c.lineTo(x - 5, y);
        c.fill();
    }
}

function maximum(counts) {
    let most = 0;
    for (const n of counts) if (n > most) most = n;
    return most;
}

/** The whole recording in a strip: faults, where statuses change, and what part is on the screen. */
function drawOverview(canvas, model, view, colours) {
    const ratio = window.devicePixelRatio || 1;
    const {clientWidth: width, clientHeight: height} = canvas;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const c = canvas.getContext('2d');
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    const x = when => when / model.end * width;
    c.fillStyle = colours.fault;
    c.globalAlpha = 0.35;
    const bands = model.lanes.flatMap(lane => lane.faults).concat(model.everywhere);
    for (const columns of mergeColumns(bands.map(band => [x(band.from), Math.max(x(band.to), x(band.from) + 1)])))
        c.fillRect(columns[0], 0, columns[1] - columns[0], height);
    c.globalAlpha = 1;
    const changes = new Uint32Array(Math.ceil(width) + 1);
    for (const lane of model.lanes)
        for (const mark of lane.marks) if (mark.kind === 'Status' || mark.kind === 'Life') ++changes[Math.floor(x(mark.when))];
    const most = Math.log2(1 + Math.max(1, maximum(changes)));
    c.fillStyle = colours['ink-2'];
    changes.forEach((n, column) => {
        const tall = Math.log2(1 + n) / most * (height - 6);
        if (n > 0) c.fillRect(column, height - tall, 1, tall);
    });
    c.strokeStyle = colours.accent;
    c.lineWidth = 2;
    const left = x(view.from);
    c.strokeRect(left + 1, 1, Math.max(2, x(view.to) - left - 2), height - 2);
}

/** Overlapping [from, to] pairs made one. */
function mergeColumns(pairs) {
    const merged = [];
    for (const [from, to] of pairs.sort((a, b) => a[0] - b[0])) {
        const last = merged.at(-1);
        if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
        else merged.push([from, to]);
    }
    return merged;
}
