/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The error object. Functions that can fail return 0 or -errno and describe the failure in
 * the `struct error *` they are passed last. Untouched on success. Each level may put one
 * clause of context in front; only main() prints it and only main() exits.
 */
#ifndef SQUALL_ERROR_H
#define SQUALL_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

struct error {
	int code;	  /* positive errno, 0: no error */
	char text[1024];  /* object, value, reason; one sentence, no newline, no full stop */
	char remedy[512]; /* what the user can do; empty: nothing known */
};

#define ERROR_INIT                                                                                 \
	{                                                                                          \
		.code = 0                                                                          \
	}

/* Sets code and text; clears the remedy. Returns -code, so that `return error_set(...)` works.
 * `err` may be NULL: then only the return value carries the failure. */
int error_set(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set, with ": strerror(code)" appended. */
int error_errno(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "clause: " in front of the text. Returns -err->code (-EIO without an object). */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds the remedy. Returns -err->code. */
int error_remedy(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#if defined(__clang_analyzer__) && !defined(SQUALL_ERROR_ITSELF)
/* It looks at one file at a time, and would follow paths on which a failure returned 0. */
static inline int error_below_zero(int result)
{
	return result < 0 ? result : -1;
}
#define error_set(...)	  error_below_zero(error_set(__VA_ARGS__))
#define error_errno(...)  error_below_zero(error_errno(__VA_ARGS__))
#define error_prefix(...) error_below_zero(error_prefix(__VA_ARGS__))
#define error_remedy(...) error_below_zero(error_remedy(__VA_ARGS__))
#endif

#endif
