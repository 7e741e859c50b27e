// SPDX-License-Identifier: Apache-2.0
#include "reporter.hpp"

#include <string>
#include <utility>

namespace muster::transport {

void Reporter::link(const UniqueAddress& peer, LinkEvent event) {
    if (handler_) handler_->on_link(peer, event);
}
void Reporter::connect_refused(const Address& peer) {
    if (handler_) handler_->on_connect_refused(peer);
}
void Reporter::quarantined_by(const UniqueAddress& peer) {
    if (handler_) handler_->on_quarantined_by(peer);
}

void Reporter::link_lost(LinkEnd end, LogPeer peer, const std::optional<Error>& error,
                         std::string_view direction) {
    counters_.links_broken.add();
    const std::string why = error ? error->message() : "unknown";
    if (end == LinkEnd::Broken || !is_silence(*error)) {
        log_.info("transport.link.broken", std::move(peer),
                  {{"error", why}, {"direction", std::string{direction}}});
        return;
    }
    counters_.links_half_open.add();
    log_.warning("transport.link.half_open", std::move(peer),
                 {{"error", why}, {"direction", std::string{direction}}});
}

} // namespace muster::transport
