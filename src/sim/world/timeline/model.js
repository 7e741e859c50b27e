// SPDX-License-Identifier: Apache-2.0
// From the recorder's entries to what is drawn: lanes, spans and messages. Times are nanoseconds since the world began.
'use strict';

const phases = {point: 0, begin: 1, end: 2};
const faultRowsMax = 5; // what does not fit into so many lies over others

/** Index of the first element of the sorted `values` that is not below `wanted`. */
function lowerBound(values, wanted) {
    let low = 0;
    let high = values.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (values[middle] < wanted) low = middle + 1;
        else high = middle;
    }
    return low;
}

/** Spans of one thing that holds from one moment to the next. `at` is sorted; the value holds until the next `at`. */
class Steps {
    constructor() {
        this.at = [];
        this.values = [];
    }
    set(when, value) {
        const last = this.at.length - 1;
        if (last >= 0 && this.at[last] === when) {
            this.values[last] = value;
        } else {
            this.at.push(when);
            this.values.push(value);
        }
    }
    /** The value at `when`, or undefined before the first. */
    get(when) {
        return this.values[this.indexAt(when)];
    }
    indexAt(when) {
        return lowerBound(this.at, when + 1e-6) - 1;
    }
}

class Lane {
    constructor(node) {
        this.node = node;
        this.name = `node ${node}`;
        this.lives = [];            // {from, to, why}; `to` is the end of the recording while the process runs
        this.own = new Steps();     // its own status, null without a process
        this.others = new Steps();  // what other nodes call it: an array of counts by status
        this.unreachable = new Steps(); // the nodes that call it unreachable, sorted
        this.accuses = new Steps(); // the nodes it calls unreachable, sorted
        this.faults = [];           // {from, to, text}
        this.marks = [];            // entries without messages, in the order of time
        this.markTimes = [];
    }
}

/** What befalls the same nodes again before there was room for its text, as one. `faults` are in the order of time. */
function joinRepeated(faults, room) {
    const joined = [];
    const latest = new Map();
    for (const fault of faults) {
        const key = JSON.stringify([fault.text, fault.nodes]);
        const before = latest.get(key);
        if (before !== undefined && fault.from - before.to < room) {
            before.to = Math.max(before.to, fault.to);
            ++before.times;
        } else {
            latest.set(key, {...fault, times: 1});
            joined.push(latest.get(key));
        }
    }
    for (const fault of joined) if (fault.times > 1) fault.text += ` (${fault.times} times)`;
    return joined;
}

class Model {
    constructor(data) {
        this.title = data.title;
        this.statuses = data.statuses;
        this.dropped = data.dropped;
        this.count = data.entries.when.length;
        this.end = Math.max(1, data.end);
        this.lanes = Array.from({length: data.nodes}, (_, node) => new Lane(node));
        this.everywhere = []; // faults of all lanes
        this.texts = data.texts;
        this.readEntries(data);
    }

    readEntries(data) {
        const {kind, when, node, other, text, phase, length} = data.entries;
        const order = Array.from(when.keys()).sort((a, b) => when[a] - when[b] || a - b);
        const messageKind = data.kinds.indexOf('Message');
        const readers = data.kinds.map(name => this['read' + name].bind(this));
        const views = new Views(this.lanes, this.statuses.length);
        const messages = [];
        this.open = new Map(); // faults that last: by node
        for (const i of order) {
            if (kind[i] === messageKind) {
                messages.push(i);
                continue;
            }
            const entry = {kind: data.kinds[kind[i]], when: when[i], node: node[i], other: other[i],
                           text: data.texts[text[i]], phase: phase[i], length: length[i]};
            const lane = this.lanes[entry.node];
            if (lane === undefined && entry.kind !== 'Fault') continue;
            readers[kind[i]](entry, lane, views);
            if (lane === undefined) continue;
            lane.marks.push(entry);
            lane.markTimes.push(entry.when);
        }
        this.messages = new Messages(messages, data, phases.end);
        this.collectFaults();
    }

    /** One for each fault, whomever it befalls, in rows in which they do not lie on each other. */
    collectFaults() {
        const faults = new Map();
        const add = (band, node) => {
            const key = JSON.stringify([band.from, band.to, band.text]);
            if (!faults.has(key)) faults.set(key, {...band, nodes: []});
            if (node !== null) faults.get(key).nodes.push(node);
        };
        for (const band of this.everywhere) add(band, null);
        for (const lane of this.lanes) for (const band of lane.faults) add(band, lane.node);
        this.faults = joinRepeated(Array.from(faults.values()).sort((a, b) => a.from - b.from || b.to - a.to), this.end * 0.05);
        const room = this.end * 0.2; // for the text of a short one, if there is
        const rows = []; // until when each is taken, and until when its text wants to go on
        for (const fault of this.faults) {
            let row = rows.findIndex(r => r.text <= fault.from);
            if (row < 0 && rows.length < faultRowsMax) row = rows.push({bar: 0, text: 0}) - 1;
            if (row < 0) row = rows.findIndex(r => r.bar <= fault.from);
            if (row < 0) row = rows.reduce((best, r, i) => r.bar < rows[best].bar ? i : best, 0);
            rows[row].bar = Math.max(rows[row].bar, fault.to);
            rows[row].text = Math.max(rows[row].bar, fault.from + room);
            fault.row = row;
        }
        this.faultRows = rows.length;
    }

    readLife(entry, lane, views) {
        if (entry.phase === phases.begin) {
            lane.lives.push({from: entry.when, to: this.end, why: null});
            lane.own.set(entry.when, null);
        } else if (entry.phase === phases.end) {
            const life = lane.lives.at(-1);
            if (life !== undefined && life.why === null) {
                life.to = entry.when;
                life.why = entry.text;
            }
            lane.own.set(entry.when, null);
            views.forget(entry.when, lane);
        }
    }

    readStatus(entry, lane, views) {
        const status = this.statuses.indexOf(entry.text);
        const subject = this.lanes[entry.other];
        if (status < 0 || subject === undefined) return;
        if (subject === lane) lane.own.set(entry.when, status);
        else views.status(entry.when, lane, subject, status);
    }

    readReachability(entry, lane, views) {
        const subject = this.lanes[entry.other];
        if (subject !== undefined) views.reachability(entry.when, lane, subject, entry.phase === phases.begin);
    }

    readFault(entry, lane) {
        const bands = lane === undefined ? this.everywhere : lane.faults;
        const open = this.open.get(entry.node) ?? [];
        this.open.set(entry.node, open);
        if (entry.phase === phases.end) {
            for (const band of open)
                if (entry.text === '' || entry.text === band.text) band.to = Math.min(band.to, entry.when);
            this.open.set(entry.node, open.filter(band => band.to === this.end));
            return;
        }
        const lasts = entry.phase === phases.begin;
        const to = entry.length > 0 ? Math.min(this.end, entry.when + entry.length) : lasts ? this.end : entry.when;
        const band = {from: entry.when, to, text: entry.text};
        bands.push(band);
        if (lasts && to === this.end) open.push(band);
    }

    readNote() {}
    readMessage() {}

    laneName(node) {
        return this.lanes[node]?.name ?? `node ${node}`;
    }
}

/** Who says what about whom, while the entries are read. What a node said is forgotten when its process ends. */
class Views {
    constructor(lanes, statuses) {
        this.said = lanes.map(() => new Map());    // by subject: observer -> status
        this.counts = lanes.map(() => new Array(statuses).fill(0));
        this.accusers = lanes.map(() => new Set()); // by subject
        this.accused = lanes.map(() => new Set());  // by observer
        this.lanes = lanes;
    }
    status(when, observer, subject, status) {
        this.change(subject, observer, status);
        subject.others.set(when, this.counts[subject.node].slice());
    }
    reachability(when, observer, subject, unreachable) {
        for (const [set, value] of [[this.accusers[subject.node], observer.node], [this.accused[observer.node], subject.node]]) {
            if (unreachable) set.add(value);
            else set.delete(value);
        }
        subject.unreachable.set(when, sorted(this.accusers[subject.node]));
        observer.accuses.set(when, sorted(this.accused[observer.node]));
    }
    forget(when, observer) {
        for (const subject of this.lanes) {
            if (!this.said[subject.node].has(observer.node)) continue;
            this.change(subject, observer, undefined);
            subject.others.set(when, this.counts[subject.node].slice());
        }
        for (const node of sorted(this.accused[observer.node])) this.reachability(when, observer, this.lanes[node], false);
    }
    change(subject, observer, status) {
        const said = this.said[subject.node];
        const counts = this.counts[subject.node];
        const before = said.get(observer.node);
        if (before !== undefined) --counts[before];
        if (status === undefined) {
            said.delete(observer.node);
        } else {
            said.set(observer.node, status);
            ++counts[status];
        }
    }
}

function sorted(numbers) {
    return Array.from(numbers).sort((a, b) => a - b);
}

/** All messages in typed arrays, sorted by the time of sending: there may be hundreds of thousands. */
class Messages {
    constructor(order, data, lostPhase) {
        const {when, node, other, text, phase, length} = data.entries;
        this.count = order.length;
        this.from = Float64Array.from(order, i => when[i]);
        this.to = Float64Array.from(order, i => when[i] + length[i]);
        this.sender = Int32Array.from(order, i => node[i]);
        this.receiver = Int32Array.from(order, i => other[i]);
        this.text = Int32Array.from(order, i => text[i]);
        this.lost = Uint8Array.from(order, i => phase[i] === lostPhase ? 1 : 0);
        this.longest = order.reduce((longest, i) => Math.max(longest, length[i]), 0);
    }
    /** [first, last) of those that may be on their way between two moments. */
    between(from, to) {
        return [lowerBound(this.from, from - this.longest), lowerBound(this.from, to)];
    }
}
