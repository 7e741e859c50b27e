// SPDX-License-Identifier: Apache-2.0
// What an installed muster offers to a program of somebody else's. Prints "N passed, N failed".
#include "checks.hpp"

#include <iostream>
#include <muster/address.hpp>
#include <muster/error.hpp>
#include <muster/metrics.hpp>
#include <muster/version.hpp>
#include <string>

namespace {

int passed = 0;
int failed = 0;

void check_base() {
    check("the library's version is the headers'", [] {
        return muster::version() == std::to_string(muster::version_major) + "." +
                                        std::to_string(muster::version_minor) + "." +
                                        std::to_string(muster::version_patch);
    });
    check("an address is parsed and printed", [] {
        return muster::Address::parse("akka.tcp://sys@[::1]:2551").value().to_string() ==
               "akka.tcp://sys@[::1]:2551";
    });
    check("an exception of the library is caught by its type", [] {
        try {
            muster::Address::parse("nonsense").value();
        } catch (const muster::ErrorException& e) {
            return e.error() == muster::Errc::invalid_argument;
        }
        return false;
    });
    check("an error code of the library is of its category", [] {
        const boost::system::error_code code = muster::Errc::refused;
        return code.category() == muster::muster_category() &&
               code == boost::system::errc::connection_refused;
    });
    check("metrics count", [] {
        muster::Metrics metrics;
        metrics.counter("user.things").add(2);
        return metrics.value("user.things") == 2;
    });
}

} // namespace

void check(const std::string& name, const std::function<bool()>& body) {
    bool good = false;
    try {
        good = body();
    } catch (const std::exception& e) {
        std::cout << name << ": threw " << e.what() << '\n';
    }
    if (!good) std::cout << "FAILED: " << name << '\n';
    ++(good ? passed : failed);
}

int main(int argc, char** argv) {
    std::cout << "muster " << muster::version() << " as a " << (argc > 1 ? argv[1] : "linked")
              << " library\n";
    check_base();
    check_second_unit();
    check_runtimes();
    check_scraps();
    std::cout << passed << " passed, " << failed << " failed\n";
    return failed == 0 ? 0 : 1;
}
