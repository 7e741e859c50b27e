// SPDX-License-Identifier: Apache-2.0
#include "link_script.hpp"

#include "../wire/samples.hpp"
#include "script.hpp"
#include "transport/link/link.hpp"

#include <algorithm>
#include <muster/ensure.hpp>
#include <muster/wire/envelope.hpp>
#include <muster/wire/frame.hpp>
#include <optional>

namespace muster::transport::fuzz {
namespace {

using muster::fuzz::Script;
using std::chrono::milliseconds;

constexpr std::size_t steps_max = 300;
constexpr LinkLimits limits{.handshake_timeout = milliseconds{5000},
                            .idle_timeout = milliseconds{30'000},
                            .half_open_timeout = milliseconds{30'000},
                            .frame_timeout = milliseconds{30'000}};

/// First byte of a step.
enum class Step : std::uint8_t {
    Frame,
    Time,
    Written,
    Sending,
    Sent,
    Flushed,
    Stuck,
    FramesTaken,
    Verdict,
    Close,
    Superseded,
    Fail,
    StreamEnds,
    Node,
    Count
};

/// This node, as the script changes it.
struct Node final : NodeView {
    Identity identity() const override { return {wire::samples::hello().cluster_name, self, {}}; }
    bool stops() const override { return (flags & 1U) != 0; }
    bool acquainted(const Address&) const override { return (flags & 2U) != 0; }
    bool has_place_for_stranger() const override { return (flags & 4U) == 0; }
    Quarantined quarantine_of(const UniqueAddress&) override {
        return (flags & 8U) == 0 ? Quarantined::No : Quarantined::Yes;
    }
    bool is_claimed(const UniqueAddress&) override { return (flags & 16U) != 0; }
    wire::Interner& interner() override { return interner_; }

    UniqueAddress self{wire::samples::hello().to, Uid{5}};
    unsigned flags = 0;

private:
    wire::Interner interner_;
};

class Driver {
public:
    explicit Driver(Script script)
        : script_(script), dials_(script_.below(2) == 1),
          link_(dials_ ? Link::Role::Dialler : Link::Role::Acceptor, limits, node_) {
        if (dials_)
            input([&](LinkActions& out) {
                link_.dialled(wire::samples::hello().from.address(), now_ + limits.handshake_timeout,
                              LogLevel::Warning, out);
            });
        else
            link_.accepted("10.0.0.1:1", now_);
    }

    void run() {
        for (std::size_t i = 0; i < steps_max && !script_.ended() && !ended_; ++i) step();
        finish();
    }

private:
    using Phase = Link::Phase;

    template <class Call>
    void input(Call&& call) {
        const bool was_open = link_.is_open();
        LinkActions out;
        call(out);
        for (const LinkAction& action : out) carry_out(action, was_open);
    }

    void carry_out(const LinkAction& action, bool was_open) {
        if (const auto* deliver = std::get_if<action::Deliver>(&action)) {
            MUSTER_ENSURE(was_open && !dials_, "only an open link that was accepted delivers");
            MUSTER_ENSURE(is_made_by(link_.about().peer, deliver->message), "by whom shook hands");
        }
        if (std::holds_alternative<action::Opened>(action)) {
            MUSTER_ENSURE(!opened_ && !dials_, "a link opens once");
            MUSTER_ENSURE(link_.about().lane != question_lane, "a question opens nothing");
            opened_ = true;
        }
        if (const auto* shaken = std::get_if<action::Shaken>(&action)) {
            MUSTER_ENSURE(!shaken_ && dials_, "a handshake has one outcome");
            shaken_ = true;
            MUSTER_ENSURE((shaken->outcome == action::Shaken::Outcome::Open) == link_.about().was_open,
                          "an open link has shaken hands");
        }
        if (const auto* write = std::get_if<action::Write>(&action)) written_by_link(write->bytes);
        if (const auto* leave = std::get_if<action::Leave>(&action)) decoded(leave->goodbye);
        const auto* close = std::get_if<action::CloseStream>(&action);
        aborted_ = aborted_ || (close && close->how == action::CloseStream::How::Abort);
    }

    static wire::ClusterFrame decoded(const Slice& bytes) {
        MUSTER_ENSURE(bytes.size() > wire::frame_header_bytes, "a frame");
        auto frame =
            wire::decode_frame(bytes.sub(wire::frame_header_bytes, bytes.size() - wire::frame_header_bytes));
        MUSTER_ENSURE(frame.has_value(), "what a link says can be understood");
        return std::move(*frame);
    }

    void written_by_link(const Slice& bytes) {
        MUSTER_ENSURE(!writing_, "one frame of its own at a time");
        MUSTER_ENSURE(!said_goodbye_, "Goodbye is the last frame");
        writing_ = true;
        said_goodbye_ = std::holds_alternative<wire::Goodbye>(decoded(bytes));
    }

    void written(bool well) {
        if (!std::exchange(writing_, false)) return;
        const result<void> outcome = well ? result<void>{} : result<void>{Error{Errc::reset, "peer", {}, {}}};
        input([&](LinkActions& out) { link_.written(outcome, now_, out); });
    }

    void pass(Duration time) {
        now_ += time;
        input([&](LinkActions& out) { link_.time(now_, out); });
        MUSTER_ENSURE(!link_.deadline() || *link_.deadline() > now_, "a deadline that has passed is over");
    }

    void step() {
        switch (static_cast<Step>(script_.below(static_cast<std::size_t>(Step::Count)))) {
        case Step::Frame: {
            const auto body = script_.bytes(script_.byte() + 256U * script_.below(4));
            // While it waits the driver does not look at the next frame.
            if (link_.phase() == Phase::Replying || link_.phase() == Phase::Claiming) return;
            link_.received(now_);
            input([&](LinkActions& out) { link_.frame({body, nullptr, false}, now_, out); });
            return;
        }
        case Step::Time: return pass(milliseconds{1} * (std::int64_t{1} << script_.below(18)));
        case Step::Written: return written(script_.byte() < 230);
        case Step::Sending:
            if (dials_ && link_.is_open() && !writing_) link_.sending(now_);
            return;
        case Step::Sent:
            if (!dials_ || !link_.about().was_open) return;
            if (script_.byte() < 200) return link_.sent();
            return link_.send_failed(Error{Errc::reset, "peer", {}, {}}, now_);
        case Step::Flushed:
            if (dials_) input([&](LinkActions& out) { link_.flushed(now_, out); });
            return;
        case Step::Stuck: {
            const auto why = script_.below(2) == 0 ? FrameReader::Next::TooLarge : FrameReader::Next::NoRoom;
            const bool looks = link_.phase() == Phase::Greeting || link_.is_open();
            if (looks && (why == FrameReader::Next::TooLarge || (link_.is_open() && !dials_)))
                input([&](LinkActions& out) { link_.stuck(why, 1000, 10, now_, out); });
            return;
        }
        case Step::FramesTaken: return link_.frames_taken(script_.below(2) == 1, script_.below(2) == 1);
        case Step::Verdict: {
            const auto verdict = static_cast<Verdict>(script_.below(3));
            const auto owner = verdict == Verdict::Unanswered ? std::nullopt : std::optional{node_.self};
            return input([&](LinkActions& out) { link_.verdict(verdict, owner, now_, out); });
        }
        case Step::Close: {
            const auto reason = static_cast<wire::GoodbyeReason>(script_.below(9));
            return input([&](LinkActions& out) { link_.close(reason, "detail", now_, out); });
        }
        case Step::Superseded:
            if (link_.about().was_open && link_.phase() != Phase::Ended)
                input([&](LinkActions& out) { link_.superseded(node_.self, now_, out); });
            return;
        case Step::Fail:
            if (link_.about().was_open)
                input([&](LinkActions& out) { link_.fail(Errc::no_memory, {}, out); });
            return;
        case Step::StreamEnds: return end_stream();
        case Step::Node:
            node_.flags = script_.byte();
            if (script_.byte() < 20) node_.self = {node_.self.address(), Uid{node_.self.uid().value + 1}};
            return;
        case Step::Count: return;
        }
    }

    void end_stream() {
        ended_ = true;
        static constexpr Errc ends[] = {Errc::end_of_stream, Errc::reset, Errc::timed_out, Errc::closed};
        const Error error{ends[script_.below(std::size(ends))], "peer", {}, {}};
        input([&](LinkActions& out) { link_.stream_ended(error, out); });
    }

    /// Whatever was said: what is under way ends, time passes, and the link is open or gives its connection
    /// up.
    void finish() {
        for (int i = 0; i < 10; ++i) {
            written(true);
            if (link_.deadline()) pass(*link_.deadline() - now_);
        }
        if (!ended_) {
            MUSTER_ENSURE(link_.is_open() || aborted_ || link_.phase() == Phase::Ended,
                          "a link that is not open comes to an end");
            end_stream();
        }
        MUSTER_ENSURE(!link_.is_open(), "nothing is open behind its end");
        LinkActions out;
        link_.over(out);
        std::size_t reports = 0;
        for (const LinkAction& action : out)
            reports += std::holds_alternative<action::Report>(action) ? 1U : 0U;
        MUSTER_ENSURE(reports == (link_.about().was_open ? 1U : 0U), "an open link's end is reported once");
    }

    Script script_;
    Node node_;
    const bool dials_;
    Link link_;
    Instant now_{std::chrono::hours{1}};
    bool writing_ = false;
    bool said_goodbye_ = false;
    bool opened_ = false;
    bool shaken_ = false;
    bool aborted_ = false;
    bool ended_ = false;
};

} // namespace

void run_link_script(std::span<const std::byte> script) { Driver{Script{script}}.run(); }

std::vector<std::byte> link_script_of(bool dials, std::span<const std::vector<std::byte>> bodies) {
    std::vector<std::byte> script;
    const auto put = [&script](std::size_t value) { script.push_back(static_cast<std::byte>(value)); };
    put(dials ? 1 : 0);
    for (const auto& body : bodies) {
        put(static_cast<std::size_t>(Step::Written));
        put(0);
        if (body.size() > 1023) continue;
        put(static_cast<std::size_t>(Step::Frame));
        put(body.size() % 256);
        put(body.size() / 256);
        script.insert(script.end(), body.begin(), body.end());
    }
    put(static_cast<std::size_t>(Step::Written));
    put(0);
    return script;
}

} // namespace muster::transport::fuzz
