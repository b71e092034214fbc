/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Quantities with units, as people write them. A bare number is an error where a unit is meant:
 * "latency: 5" became 5 seconds in more than one tool.
 */
#ifndef SQUALL_QUANTITY_H
#define SQUALL_QUANTITY_H

#include "injector/base/error.h"

#include <stddef.h>
#include <stdint.h>

/* A share is kept in parts per billion: 100 % is SHARE_ONE. */
#define SHARE_ONE 1000000000LL

/* "200ms", "1.5s", "5m", "2h", "10us", "3d"; 0 needs no unit. */
int quantity_parse_duration(const char *text, int64_t *out_ns, struct error *err);
/* "5%", "0.01%"; also "0". Range is the caller's. */
int quantity_parse_share(const char *text, int64_t *out_ppb, struct error *err);
/* "10mbit", "800kbit", "1gbit", "1tbit", "100bit" (bits a second), "1mbps", "10kbps" (bytes a
 * second, as tc). */
int quantity_parse_rate(const char *text, int64_t *out_bits_per_second, struct error *err);
/* "100B", "64KiB", "10MiB", "1GiB", "5kB", "5MB". */
int quantity_parse_size(const char *text, int64_t *out_bytes, struct error *err);
/* Decimal integer, sign allowed, nothing behind it. */
int quantity_parse_integer(const char *text, int64_t *out, struct error *err);

/* Shortest exact text: "200ms", "1.5s", "5%". `out` of QUANTITY_TEXT_SIZE bytes. */
#define QUANTITY_TEXT_SIZE 48
char *quantity_format_duration(int64_t ns, char *out);
char *quantity_format_share(int64_t ppb, char *out);
char *quantity_format_rate(int64_t bits_per_second, char *out);
char *quantity_format_size(int64_t bytes, char *out);
/* For measured values: about three significant digits, always in ms below a second: "0.51ms",
 * "12.3ms", "1.20s". */
char *quantity_format_latency(int64_t ns, char *out);

#endif
