// SPDX-License-Identifier: Apache-2.0
#pragma once
/// The compiler features that muster needs, checked here so that a lack gives one sentence instead of a page
/// of errors.

#if !defined(__cplusplus) || __cplusplus < 202002L
#error "muster needs C++20: compile with -std=c++20 or newer"
#endif
