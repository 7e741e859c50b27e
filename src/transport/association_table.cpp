// SPDX-License-Identifier: Apache-2.0
#include "association_table.hpp"

#include "association.hpp"
#include "hub.hpp"
#include <algorithm>
#include <utility>

namespace muster::transport {
namespace {

/// How often a full table is searched for associations nobody uses.
constexpr std::chrono::seconds dormant_search_interval{1};

} // namespace

AssociationTable::~AssociationTable() {
    hub_.counters.associations.add(-static_cast<std::int64_t>(table_.size()));
}

std::shared_ptr<Association> AssociationTable::get(const Address& to) {
    const TcpTransportOptions& options = hub_.options;
    if (!to.host || !to.port || *to.port == 0 || to.protocol != options.protocol ||
        to.system != options.cluster_name)
        return nullptr;
    const std::scoped_lock lock{mutex_};
    if (closed_) return nullptr;
    if (const auto found = table_.find(to); found != table_.end()) return found->second;
    if (table_.size() >= options.associations_max) {
        forget_dormant();
        if (table_.size() >= options.associations_max) return nullptr;
    }
    auto made = std::make_shared<Association>(hub_.shared_from_this(), to);
    table_.emplace(to, made);
    hub_.counters.associations.add(1);
    return made;
}

std::shared_ptr<Association> AssociationTable::find(const Address& to) {
    const std::scoped_lock lock{mutex_};
    const auto found = table_.find(to);
    return found == table_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Association>> AssociationTable::all() {
    std::vector<std::shared_ptr<Association>> all;
    {
        const std::scoped_lock lock{mutex_};
        for (const auto& [address, association] : table_) all.push_back(association);
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a->address() < b->address(); });
    return all;
}

void AssociationTable::close() {
    const std::scoped_lock lock{mutex_};
    closed_ = true;
}

/// Under mutex_. Drops associations that nobody holds a route to and that have nothing to do.
void AssociationTable::forget_dormant() {
    if (!hub_.runtime.in_runtime_thread()) { // only there can one see what is dormant
        if (std::exchange(forgetting_, true)) return;
        hub_.runtime.post([this, weak = hub_.weak_from_this()] {
            const auto hub = weak.lock(); // which holds the table
            if (!hub) return;
            const std::scoped_lock lock{mutex_};
            forgetting_ = false;
            forget_dormant();
        });
        return;
    }
    const Instant now = hub_.now();
    if (searched_ && now - *searched_ < dormant_search_interval) return;
    searched_ = now;
    const auto before = table_.size();
    std::erase_if(table_,
                  [](const auto& entry) { return entry.second.use_count() == 1 && entry.second->dormant(); });
    hub_.counters.associations.add(-static_cast<std::int64_t>(before - table_.size()));
}

} // namespace muster::transport
