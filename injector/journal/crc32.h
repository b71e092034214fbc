/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CRC-32 (IEEE 802.3, reflected; the one of zlib): tells a torn record from a whole one.
 */
#ifndef SQUALL_CRC32_H
#define SQUALL_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *bytes, size_t size);

#endif
