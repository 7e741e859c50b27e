// SPDX-License-Identifier: Apache-2.0
#include "waiter.hpp"

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>

namespace muster::net {

boost::asio::execution_context::id ParkingLot::id;

ParkingLot::ParkingLot(boost::asio::execution_context& context)
    : service(context), status_(std::make_shared<Status>()), status_view_(status_) {}

ParkingLot& ParkingLot::of(const boost::asio::any_io_executor& executor) {
    boost::asio::execution_context& context = boost::asio::query(executor, boost::asio::execution::context);
    return boost::asio::use_service<ParkingLot>(context);
}

void ParkingLot::park(Spot& spot) noexcept { spots_.push_back(spot); }

void ParkingLot::shutdown() {
    status_->closing = true;
    while (!spots_.empty()) delete &spots_.front(); // unlinks itself
}

} // namespace muster::net
