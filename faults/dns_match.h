/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which queries a `dns` fault answers: by name and by type.
 */
#ifndef SQUALL_DNS_MATCH_H
#define SQUALL_DNS_MATCH_H

#include "faults/dns_message.h"
#include "injector/base/error.h"
#include "injector/base/params.h"

struct dns_match;

/* Indexes of the parameters in a table of `params`. */
struct dns_match_keys {
	unsigned name, domain, pattern, type;
};

/* What can be said without privileges: names are names, types are known. */
int dns_match_check(const struct params *params, const struct dns_match_keys *keys,
		    struct error *err);
int dns_match_new(const struct params *params, const struct dns_match_keys *keys,
		  struct dns_match **out, struct error *err);
void dns_match_free(struct dns_match *match);
bool dns_match_holds(const struct dns_match *match, const struct dns_question *question);

/* "A", "HTTPS", ... ; for PARAM_WORD. */
extern const char *const dns_match_types[];

#endif
