/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two traffic targets: may one packet be of both? What cannot be told from the selectors alone,
 * whose it is for example, counts as yes.
 */
#include "faults/target.h"

#include <netinet/in.h>
#include <string.h>

#define COMPARED_MAX 1000000 /* pairs; who has more meets */

static bool are_apart(unsigned a_first, unsigned a_last, unsigned b_first, unsigned b_last)
{
	return a_first && b_first && (a_last < b_first || b_last < a_first);
}

static bool have_address(const struct endpoint *a, const struct endpoint *b)
{
	const unsigned prefix = a->prefix < b->prefix ? a->prefix : b->prefix;
	const unsigned bytes = prefix / 8, bits = prefix % 8;

	if (a->family == AF_UNSPEC || b->family == AF_UNSPEC)
		return true;
	return a->family == b->family && memcmp(a->address, b->address, bytes) == 0 &&
	       (bits == 0 || ((a->address[bytes] ^ b->address[bytes]) >> (8 - bits)) == 0);
}

static bool have_endpoint(const struct param_value *one, const struct param_value *other)
{
	const struct endpoint *a = &one->endpoint, *b = &other->endpoint;

	return have_address(a, b) &&
	       !are_apart(a->port_first, a->port_last, b->port_first, b->port_last);
}

static bool have_port(const struct param_value *one, const struct param_value *other)
{
	return !are_apart(one->ports.first, one->ports.last, other->ports.first, other->ports.last);
}

/* Something of one list is in the other; a list that is empty has everything. */
static bool overlap(const struct params *a, const struct params *b, unsigned list,
		    bool (*have)(const struct param_value *, const struct param_value *))
{
	const unsigned a_count = params_count(a, list), b_count = params_count(b, list);

	if (!a_count || !b_count || (uint64_t)a_count * b_count > COMPARED_MAX)
		return true;
	for (unsigned i = 0; i < a_count; i++)
		for (unsigned k = 0; k < b_count; k++)
			if (have(params_value(a, list, i), params_value(b, list, k)))
				return true;
	return false;
}

static bool have_protocol(const struct params *a, const struct params *b)
{
	uint8_t a_numbers[TRAFFIC_PROTOCOLS_MAX], b_numbers[TRAFFIC_PROTOCOLS_MAX];
	const unsigned a_count = target_protocols(a, a_numbers),
		       b_count = target_protocols(b, b_numbers);

	for (unsigned i = 0; a_count && i < b_count; i++)
		if (memchr(a_numbers, b_numbers[i], a_count))
			return true;
	return !a_count || !b_count;
}

/* All of what `a` selects is left out of `b`, endpoint by endpoint. */
static bool is_left_out(const struct params *a, const struct params *b)
{
	const unsigned count = params_count(a, TRAFFIC_TO),
		       spared = params_count(b, TRAFFIC_EXCEPT);

	if (!count || !spared || (uint64_t)count * spared > COMPARED_MAX)
		return false;
	for (unsigned i = 0; i < count; i++) {
		const struct endpoint *to = &params_value(a, TRAFFIC_TO, i)->endpoint;
		unsigned k = 0;

		for (; k < spared; k++) {
			const struct endpoint *out = &params_value(b, TRAFFIC_EXCEPT, k)->endpoint;

			if ((out->family == AF_UNSPEC ||
			     (to->family == out->family && to->prefix >= out->prefix &&
			      have_address(to, out))) &&
			    (!out->port_first || (to->port_first >= out->port_first &&
						  to->port_last <= out->port_last)))
				break;
		}
		if (k == spared)
			return false;
	}
	return true;
}

bool target_may_share(const struct params *a, const struct params *b)
{
	const int64_t a_vlan = params_number(a, TRAFFIC_VLAN, 0),
		      b_vlan = params_number(b, TRAFFIC_VLAN, 0);

	return overlap(a, b, TRAFFIC_TO, have_endpoint) &&
	       overlap(a, b, TRAFFIC_LOCAL_ADDRESS, have_endpoint) &&
	       overlap(a, b, TRAFFIC_LOCAL_PORT, have_port) && have_protocol(a, b) &&
	       (!a_vlan || !b_vlan || a_vlan == b_vlan) && !is_left_out(a, b) && !is_left_out(b, a);
}
