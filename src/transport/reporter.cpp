// SPDX-License-Identifier: Apache-2.0
#include "reporter.hpp"

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

} // namespace muster::transport
