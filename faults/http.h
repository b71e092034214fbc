/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault, shared by its files. New connections to the servers are redirected to the
 * responder (http_responder.h): those that leave the target's network namespace by an nf_tables
 * table, or, with `local-port`, those that come to servers in it by a BPF program. Either vanishes
 * with the worker; connections that exist already are not touched.
 */
#ifndef SQUALL_FAULT_HTTP_H
#define SQUALL_FAULT_HTTP_H

#include "faults/http_responder.h"
#include "faults/http_tls.h"
#include "faults/redirect_state.h"
#include "faults/target_connections.h"

extern const struct fault_ops http_fault;

/* http_params.c: see there what they mean. */
enum http_param {
	HTTP_PARAM_TARGET,
	HTTP_PARAM_DELAY,
	HTTP_PARAM_ANSWER,
	HTTP_PARAM_BODY,
	HTTP_PARAM_ABORT,
	HTTP_PARAM_DELAY_RESPONSE,
	HTTP_PARAM_ABORT_RESPONSE,
	HTTP_PARAM_SET_PATH,
	HTTP_PARAM_SET_QUERY,
	HTTP_PARAM_SET_METHOD,
	HTTP_PARAM_SET_REQUEST_HEADER,
	HTTP_PARAM_SET_REQUEST_BODY,
	HTTP_PARAM_MERGE_REQUEST_BODY,
	HTTP_PARAM_SET_STATUS,
	HTTP_PARAM_SET_RESPONSE_HEADER,
	HTTP_PARAM_SET_BODY,
	HTTP_PARAM_MERGE_BODY,
	HTTP_PARAM_PATH,
	HTTP_PARAM_METHOD,
	HTTP_PARAM_HEADER,
	HTTP_PARAM_STATUS,
	HTTP_PARAM_RESPONSE_HEADER,
	HTTP_PARAM_PROBABILITY,
	HTTP_PARAM_RESET,
	HTTP_PARAM_TLS_CERTIFICATE,
	HTTP_PARAM_TLS_KEY,
	HTTP_PARAM_TLS_CA,
};
extern const struct param http_params[];
int http_check(const struct params *params, struct error *err);
extern const struct target_use http_use;
int http_check_target(const struct params *params, const struct params *target,
		      const struct param_value **out_blamed, struct error *err);
#define HTTP_VALUES_MAX 20 /* of each list: every request is compared with them */

/* http_change_params.c: of what is changed; `policy`: the rest of it, as it was read. */
bool http_is_change(unsigned param);
int http_read_changes(const struct params *params, struct http_policy *policy, struct error *err);
int http_check_changes(const struct params *params, struct error *err);

#define HTTP_PORT      80
#define HTTP_MARK_BASE 0x60000000U /* see redirect.h */
#define HTTP_CHAIN     "requests"

struct http_state {
	struct redirect_state redirect;
	struct http_policy policy;
	struct netlink *diag; /* when connections that exist are to be ended; else NULL */
	uint64_t reset;	      /* so many were */
	struct session_connection control[SESSION_CONNECTIONS]; /* which are not */
	unsigned control_count;
	struct http_counters last;	     /* once it has ended */
	struct http_tls *tls;		     /* NULL: only what is not TLS is met */
	struct http_tls_counters tls_before; /* of injections before */
};

/* http.c */
extern const struct redirect_kind http_kind, http_server_kind;

/* http_server.c: it meets requests where they arrive. */
bool http_is_at_server(const struct params *target);
int http_check_server(const struct params *target, const struct param_value **out_blamed,
		      struct error *err);
/* fault_ops.explain_target */
void http_explain_server(const struct params *target, char *out, size_t size);
/* In the plan: whose requests to which servers; and what is changed. */
int http_list_clients(const struct target *target, struct plan *plan);
int http_list_server(const struct http_state *state, const struct params *target,
		     const char *listens, struct plan *plan, struct error *err);
/* A container among others in our own network namespace is not told from these. */
int http_check_container(const struct target *target, struct error *err);
/* Those alone at whose local port somebody listens: they came to a server. */
int http_keep_awaited(struct netlink *diag, struct target_connections *inout, struct error *err);

/* http_explain.c: fault_ops.explain */
void http_explain(const struct params *params, char *out, size_t size);

/* http_table.c: redirect_kind.add_rules */
void http_add_rules(const struct redirect_rules *rules);

/* http_plan.c */
int http_plan(struct fault *fault, struct plan *plan, struct error *err);
/* "answer 503, 10% of them" */
void http_describe(const struct http_policy *policy, char *out, size_t size);

/* http_follow.c: fault_ops.follow */
int http_follow(struct fault *fault, char *out_note, size_t size, struct error *err);

/* http.c: those that are to be ended; the caller drops them. */
int http_find_connections(struct http_state *state, const struct target *target,
			  struct target_connections *out, struct error *err);

#endif
