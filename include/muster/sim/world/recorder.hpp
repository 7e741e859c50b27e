// SPDX-License-Identifier: Apache-2.0
#pragma once
/// A record of a World's run, for people to read.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iosfwd>
#include <map>
#include <muster/address.hpp>
#include <muster/cluster/state/events.hpp>
#include <muster/sim/runtime.hpp>
#include <muster/time.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster::sim {

/// Records events of the run as entries. Bounded: after `entries_max` no messages and notes are recorded,
/// after twice as many only lives and faults, after four times as many nothing; the page says what is
/// missing. One thread, as everything in sim.
class Recorder {
public:
    struct Entry {
        enum class Kind : std::uint8_t {
            Life,   ///< Begin: a process of `node` starts; End: it is gone, `text` says why
            Status, ///< `node` sees `other` (or itself) with the status `text` ("Up", .., "Removed") from now
                    ///< on
            Reachability, ///< Begin: `node` calls `other` unreachable; End: it no longer does
            Fault, ///< Begin: fault `text` of `node` (or everyone) begins; End: it is over; Point: it happens
                   ///< at this instant
            Message, ///< `text` from `node` to `other`, on its way for `length`; End: an attempt that was
                     ///< lost
            Note,    ///< anything else that a reader of `node`'s lane should find
        };
        enum class Phase : std::uint8_t { Point, Begin, End };
        Kind kind{};
        Instant when{};
        std::size_t node = 0;               ///< whose lane; `everyone`: all lanes
        std::optional<std::size_t> other{}; ///< receiver of a message, subject of an observation
        std::string
            text{}; ///< UTF-8; of a fault's End: the text of its Begin, or empty for all faults of `node`
        Phase phase = Phase::Point;
        Duration length{};
    };
    static constexpr std::size_t kinds = 6;
    static constexpr std::size_t everyone = SIZE_MAX;

    explicit Recorder(std::size_t entries_max = 200'000) : entries_max_(entries_max) {}
    void add(Entry entry);

    /// Records an event that `node` published: statuses, nodes that are unreachable for `node` itself, the
    /// leader. `index_of` maps addresses to machines; events about other addresses are left out.
    using IndexOf = std::function<std::optional<std::size_t>(const Address&)>;
    void add_event(Instant when, std::size_t node, const UniqueAddress& self, const ClusterEvent& event,
                   const IndexOf& index_of);
    /// Records a network event from Network::on_trace(): an arrival becomes a message from its sending on,
    /// named by its frames.
    using NodeOf = std::function<std::optional<std::size_t>(HostId)>;
    void add_trace(const TraceEvent& event, const NodeOf& node_of);

    const std::vector<Entry>& entries() const noexcept { return entries_; }
    /// Entries that were not recorded: in total, of one kind, and since when.
    std::size_t dropped() const noexcept;
    std::size_t dropped(Entry::Kind kind) const noexcept {
        return drops_[static_cast<std::size_t>(kind)].count;
    }
    std::optional<Instant> dropped_since(Entry::Kind kind) const noexcept;

    void set_title(std::string title) { title_ = std::move(title); }
    const std::string& title() const noexcept { return title_; }

private:
    struct Drops {
        std::size_t count = 0;
        Instant since{};
    };
    struct Sent {
        Instant when{};
        Segment segment;
        std::string text;
    };
    /// The position of a sender in its stream of frames.
    struct FrameReader {
        std::array<std::byte, 4> header{};
        std::size_t header_bytes = 0; ///< of the header, so far
        std::size_t left = 0;         ///< of the body
        bool named = false;
        /// The kinds of the frames whose bodies begin in `bytes`: "Heartbeat, 2 GossipStatus".
        std::string read(std::span<const std::byte> bytes);
    };
    struct Stream {
        std::deque<Sent> on_the_way;
        FrameReader frames, frames_before; ///< after and before the latest attempt
    };
    using Pair = std::pair<std::size_t, std::size_t>;

    bool has_room(Entry::Kind kind) const noexcept;
    void add_arrival(const TraceEvent& event, Entry message);
    void add_status(Instant when, std::size_t node, const Member& member, const IndexOf& index_of);
    void add_reachability(Instant when, std::size_t node, const UniqueAddress& self,
                          const Reachability& reachability, const IndexOf& index_of);

    std::size_t entries_max_;
    std::array<Drops, kinds> drops_{};
    std::string title_;
    std::vector<Entry> entries_;
    std::map<Pair, Uid> seen_; ///< by observer and subject: the incarnation last spoken of
    std::map<std::size_t, std::set<std::size_t>> unreachable_;   ///< whom each node calls unreachable
    std::map<std::pair<std::uint64_t, HostId>, Stream> streams_; ///< by connection and sender
};

/// "Life", ..: as the page names them.
std::string_view to_string(Recorder::Entry::Kind kind) noexcept;

/// One self-contained page: a lane per node over virtual time, with zoom and hover. Deterministic.
void write_timeline(std::ostream& out, const Recorder& recorder, std::size_t nodes, Instant began);

} // namespace muster::sim
