// SPDX-License-Identifier: Apache-2.0
#include "join_proof.hpp"

namespace muster {

bool UnprovenJoins::hold(const Join& join, Instant now) {
    const auto found = waiting_.find(join.node.address());
    if (found == waiting_.end() && waiting_.size() >= waiting_max) return false;
    waiting_.insert_or_assign(join.node.address(), Waiting{join, now + patience});
    return true;
}

UnprovenJoins::Answer UnprovenJoins::answered(const UniqueAddress& node) {
    Answer answer;
    const auto found = waiting_.find(node.address());
    if (found == waiting_.end()) return answer;
    if (found->second.join.node == node) {
        answer.proven = std::move(found->second.join);
    } else {
        answer.refuted = found->second.join.node;
    }
    waiting_.erase(found);
    return answer;
}

std::vector<UniqueAddress> UnprovenJoins::expire(Instant now) {
    std::vector<UniqueAddress> expired;
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (at->second.until > now) {
            ++at;
            continue;
        }
        expired.push_back(at->second.join.node);
        at = waiting_.erase(at);
    }
    return expired;
}

} // namespace muster
