#include <algorithm>
#include <fmt/format.h>
#include <muster/ensure.hpp>
#include <muster/wire/frame.hpp>

namespace muster::wire {

void FrameReader::feed(Slice bytes) {
    MUSTER_ENSURE(input_.empty(), "everything received before is consumed: next() answered More");
    input_ = std::move(bytes);
}

bool FrameReader::length_is_good(std::size_t body_bytes) {
    if (body_bytes == 0) {
        error_ = {.code = Errc::malformed,
                  .subject = "frame length 0",
                  .advice = "a frame has at least its variant index"};
        return false;
    }
    if (body_bytes > frame_bytes_max_) {
        error_ = {.code = Errc::too_large,
                  .subject = fmt::format("frame length {}", body_bytes),
                  .advice = fmt::format("at most {} are accepted here", frame_bytes_max_)};
        return false;
    }
    return true;
}

FrameReader::Next FrameReader::next(Slice& body) {
    if (partial_.size() > 0) [[unlikely]]
        return next_of_partial(body);
    if (input_.size() >= frame_header_bytes) [[likely]] {
        const std::size_t body_bytes = get_frame_length(input_.data());
        if (!length_is_good(body_bytes)) [[unlikely]]
            return Next::Failed;
        if (input_.size() - frame_header_bytes >= body_bytes) [[likely]] {
            body = input_.sub(frame_header_bytes, body_bytes);
            input_.remove_prefix(frame_header_bytes + body_bytes);
            if (input_.empty()) input_ = {}; // lets go of the receive buffer
            return Next::Frame;
        }
    }
    return input_.empty() ? Next::More : next_of_partial(body);
}

/// Moves input to the frame that has begun: first until its length is known, then until it is complete.
FrameReader::Next FrameReader::next_of_partial(Slice& body) {
    const auto move_up_to = [this](std::size_t total) {
        const std::size_t count = std::min(total - partial_.size(), input_.size());
        if (count == 0) return;
        const auto window = partial_.more(partial_.window().begin, count);
        partial_.commit(put_bytes(window.begin, input_.bytes().first(count)));
        input_.remove_prefix(count);
    };
    if (partial_.size() < frame_header_bytes) move_up_to(frame_header_bytes);
    if (partial_.size() >= frame_header_bytes) {
        const std::size_t body_bytes = get_frame_length(partial_.bytes().data());
        if (!length_is_good(body_bytes)) return Next::Failed;
        move_up_to(frame_header_bytes + body_bytes);
        if (partial_.size() == frame_header_bytes + body_bytes) {
            const Slice whole = partial_.take();
            body = whole.sub(frame_header_bytes, body_bytes);
            if (input_.empty()) input_ = {};
            return Next::Frame;
        }
    }
    input_ = {};
    return Next::More;
}

} // namespace muster::wire
