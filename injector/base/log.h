/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages to people on standard error, one line each, "squall: " in front. Results never go
 * through here: they go to standard output. Colour only on a terminal (and never with NO_COLOR).
 */
#ifndef SQUALL_LOG_H
#define SQUALL_LOG_H

#include <stdbool.h>

struct error;

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Messages above `level` are dropped. Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints text and, on a second line, the remedy. */
void log_failure(const struct error *err);

/* True when `fd` is a terminal that may be coloured. */
bool log_has_colour(int fd);

#endif
