// SPDX-License-Identifier: Apache-2.0
#pragma once
/// What muster asks of the compiler, said in a sentence instead of a page of errors.

#if !defined(__cplusplus) || __cplusplus < 202002L
#error "muster needs C++20: compile with -std=c++20 or newer"
#endif
