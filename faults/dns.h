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
#include "faults/redirect.h"

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
int dns_check_target(const struct params *params, const struct params *target,
		     const struct param_value **out_blamed, struct error *err);
/* Everything but the names. */
int dns_read_policy(const struct params *params, struct dns_policy *policy, struct error *err);

#define DNS_PORT      53
#define DNS_MARK_BASE 0x70000000U /* see redirect.h */

enum dns_phase { DNS_IDLE, DNS_ACTIVE, DNS_DRAINING };

#define DNS_RECORD_TABLE 1

struct dns_state {
	enum dns_phase phase;
	struct dns_policy policy;
	struct dns_responder *responder; /* while in force */
	struct netlink *owner;		 /* the same; of the table */
	struct netlink *netfilter, *route;
	struct redirect_record record;
	uint32_t mark;
	pid_t namespace_keeper; /* see target_namespace.h */
	int64_t wait_until_ns;
	struct dns_responder_counters last; /* once it has ended */
	struct dns_state *next;		    /* live ones of this process */
};

/* dns_explain.c: fault_ops.explain */
void dns_explain(const struct params *params, char *out, size_t size);

/* dns_table.c: starts the effect. */
int dns_table_commit(const struct dns_state *state, const struct target *target, const char *run_id,
		     unsigned step, struct error *err);
/* Can this kernel do it? Tried in the namespace the process is in; nothing is left. */
int dns_table_try(bool with_groups, struct error *err);
/* No query is redirected any more; answers under way still find back. */
int dns_table_soften(struct dns_state *state, struct error *err);

/* dns_plan.c */
int dns_probe(struct fault_support *out, struct error *err);
int dns_plan(struct fault *fault, struct plan *plan, struct error *err);

/* dns.c: takes table and responder away. */
void dns_finish(struct dns_state *state);

/* dns_restore.c */
int dns_undo(const struct journal_record *record, struct error *err);
int dns_verify(const struct journal_record *record, bool *out_gone, char *out_left,
	       size_t left_size, struct error *err);
void dns_register(struct dns_state *state);
void dns_unregister(struct dns_state *state);

#endif
