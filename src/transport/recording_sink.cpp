// SPDX-License-Identifier: Apache-2.0
#include <muster/transport/recording_sink.hpp>

namespace muster {

void RecordingSink::deliver(std::string_view target_path, std::string_view manifest, const Slice& payload,
                            std::optional<std::string_view> sender_path) {
    {
        const std::scoped_lock lock{mutex_};
        ++count_;
        if (records_.size() < records_max_) {
            RemoteTellRecord& record = records_.emplace_back();
            record.target_path = target_path;
            record.manifest = manifest;
            record.payload = payload.owned() ? payload : Slice::copy_of(payload.bytes());
            if (sender_path) record.sender_path.emplace(*sender_path);
        }
    }
    arrived_.notify_all();
}

std::vector<RemoteTellRecord> RecordingSink::records() const {
    const std::scoped_lock lock{mutex_};
    return records_;
}

std::size_t RecordingSink::count() const {
    const std::scoped_lock lock{mutex_};
    return count_;
}

void RecordingSink::clear() {
    const std::scoped_lock lock{mutex_};
    records_.clear();
    count_ = 0;
}

bool RecordingSink::wait_for(std::size_t n, std::chrono::milliseconds timeout) const {
    std::unique_lock lock{mutex_};
    return arrived_.wait_for(lock, timeout, [&] { return count_ >= n; });
}

} // namespace muster
