/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which requests an `http` fault meets, by path, method and header, which of the responses to them,
 * and what becomes of both.
 */
#ifndef SQUALL_HTTP_POLICY_H
#define SQUALL_HTTP_POLICY_H

#include "faults/http_message.h"
#include "injector/base/error.h"
#include "injector/base/params.h"

/* Values of the parameters, which outlive it. */
struct http_policy {
	const struct params *params;
	unsigned status;  /* of our answer; 0: none */
	const char *body; /* of it */
	bool aborts;
	int64_t delay_ns;			  /* before what else happens */
	bool changes_requests, changes_responses; /* of those that pass: http_change.h */
	unsigned new_status;			  /* of the server's response; 0: its own */
	const char *new_body;			  /* the same; NULL: its own */
	const char *new_request_body;		  /* the client's; NULL: its own */
	const char *merged_request, *merged_body; /* patches of theirs: http_json.h; NULL: none */
	bool selects_responses;			  /* by more than what was asked */
	int64_t response_delay_ns;		  /* before what else happens to it */
	bool aborts_responses;
	int64_t share_ppb;
	int64_t weaker_ppb; /* that much below full strength; changed while it is in use */
};

enum http_fate { HTTP_PASSES, HTTP_ANSWERED, HTTP_ABORTED };

/* On parameters of http_params. */
int http_read_policy(const struct params *params, struct http_policy *out, struct error *err);
/* Is the request one that is meant? */
bool http_policy_holds(const struct http_policy *policy, const struct http_request_head *request);
/* And is this the response to one that is? */
bool http_policy_takes(const struct http_policy *policy, const struct http_response_head *response);
/* A ramp: a delay alone is that much shorter, an answer, a reset or a change meets that many fewer.
 */
void http_policy_scale(struct http_policy *policy, int64_t level_ppb);
int64_t http_policy_delay_ns(const struct http_policy *policy);
int64_t http_policy_response_delay_ns(const struct http_policy *policy);
/* Does something become of responses? */
bool http_policy_meets_responses(const struct http_policy *policy);
/* Is it one of the share? `random`: where the draws stand. */
bool http_policy_draws(const struct http_policy *policy, uint64_t *random);
/* Of "/path?query" or "http://host/path?query": what comes before the path, the path, and what is
 * behind the "?" (`at` is NULL where there is none). False: it is neither. */
bool http_split_target(struct http_text target, struct http_text *out_origin,
		       struct http_text *out_path, struct http_text *out_query);
/* What becomes of one that is met, after the delay. */
enum http_fate http_policy_fate(const struct http_policy *policy);

#endif
