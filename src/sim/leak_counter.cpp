// SPDX-License-Identifier: Apache-2.0
#include "leak_counter.hpp"

namespace muster::sim {

LeakCounter::Balance ProcessLeakCounter::balance() const {
    return {.coroutines = work_,
            .timers = loop_ ? loop_->timers() : 0,
            .streams = streams_,
            .listeners = listeners_,
            .buffers = received_ + chunks_->in_use(),
            .buffer_bytes = received_bytes_ + chunks_->in_use() * chunks_->chunk_bytes()};
}

} // namespace muster::sim
