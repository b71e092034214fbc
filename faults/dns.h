/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault, shared by its files. Packets to DNS servers that leave the target's network
 * namespace are put into a connection tracking zone of our own and redirected to the responder
 * (dns_responder.h) by an nf_tables table that vanishes with the worker. The zone makes the change
 * sharp: a flow that exists already begins anew in it, and is its old self the moment the table is
 * gone.
 */
#ifndef SQUALL_DNS_H
#define SQUALL_DNS_H

#include "faults/dns_responder.h"
#include "faults/redirect_state.h"

extern const struct fault_ops dns_fault;

/* dns_params.c: see there what they mean. */
enum dns_param {
	DNS_TARGET,
	DNS_NAME,
	DNS_DOMAIN,
	DNS_PATTERN,
	DNS_TYPE,
	DNS_ANSWER,
	DNS_ADDRESS,
	DNS_DELAY,
	DNS_PROBABILITY,
};
extern const struct param dns_params[];
extern const struct dns_match_keys dns_keys;
extern const char *const dns_answers[]; /* by enum dns_answer */
int dns_check(const struct params *params, struct error *err);
extern const struct target_use dns_use;
/* Everything but the names. */
int dns_read_policy(const struct params *params, struct dns_policy *policy, struct error *err);

#define DNS_PORT      53
#define DNS_MARK_BASE 0x70000000U /* see redirect.h */
#define DNS_CHAIN     "queries"

struct dns_state {
	struct redirect_state redirect;
	struct dns_policy policy;
	struct dns_responder_counters last; /* once it has ended */
};

/* dns.c */
extern const struct redirect_kind dns_kind;

/* dns_explain.c: fault_ops.explain */
void dns_explain(const struct params *params, char *out, size_t size);

/* dns_table.c: redirect_kind.add_rules */
void dns_add_rules(const struct redirect_rules *rules);

/* dns_plan.c */
int dns_plan(struct fault *fault, struct plan *plan, struct error *err);

#endif
