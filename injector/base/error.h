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

#endif
