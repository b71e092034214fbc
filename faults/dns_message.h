/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DNS messages (RFC 1035, 6891), as far as an injected answer needs them: the question of a query,
 * and an answer made from it. Pure functions over bytes of strangers: nothing is read beyond the
 * message, and what is not a plain query with one question is none of our business.
 */
#ifndef SQUALL_DNS_MESSAGE_H
#define SQUALL_DNS_MESSAGE_H

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_MESSAGE_MAX 65535
#define DNS_ANSWER_MAX	512  /* what we make always fits: also without EDNS, never truncated */
#define DNS_NAME_SIZE	1024 /* 255 bytes, each of which may need four as text, and NUL */

enum dns_type { /* of questions; those we treat in a way of their own */
		DNS_TYPE_A = 1,
		DNS_TYPE_AAAA = 28,
		DNS_TYPE_SVCB = 64,
		DNS_TYPE_HTTPS = 65,
};

enum dns_code { DNS_NOERROR = 0, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };

struct dns_question {
	char name[DNS_NAME_SIZE]; /* lower case, without the last dot; "." is the root; a byte that
				   * is no letter, digit, - or _ is written as \DDD */
	uint16_t type, class;
	size_t end; /* where the question ends in the message */
	bool has_edns, wants_dnssec;
};

/* False: not a query with exactly one question and a sound name. */
bool dns_message_read(const uint8_t *message, size_t size, struct dns_question *out);

struct dns_addresses {
	struct in_addr *v4;
	struct in6_addr *v6;
	unsigned count4, count6;
};
#define DNS_ADDRESSES_MAX 8 /* of one family in one answer */

/* Writes the answer to a query that dns_message_read() understood: its id and its question, letter
 * by letter as they were asked, and the addresses that fit its type (may be NULL). `out` holds
 * DNS_ANSWER_MAX bytes. Returns the size. No SOA and no time to live: nobody may keep it. */
size_t dns_message_answer(const uint8_t *query, const struct dns_question *question,
			  enum dns_code code, const struct dns_addresses *addresses, uint8_t *out);

#endif
