// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <string>

/// Runs `body` and counts it as one case, failed when it answers false or throws.
void check(const std::string& name, const std::function<bool()>& body);

/// A second translation unit, so that a header with a definition that is not inline does not link.
void check_second_unit();

/// Every back end of the event loop.
void check_runtimes();

/// A node on the program's own io_context, against which a stranger's connections run for some seconds.
void check_scraps();
