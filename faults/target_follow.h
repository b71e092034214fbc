/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true`: the host names of a traffic target, and the addresses that stand for them now.
 * The worker looks nothing up: it is told addresses, and what they may be is decided here. A name
 * has the parameter and the ports that it had when the run was planned; what comes later are single
 * addresses, at least one, and none of those that every fault leaves out. A name in `except` only
 * gets more of them: what was left out stays left out.
 *
 * And its interfaces, if they are selected by a pattern, by `all` or by routes: nobody tells the
 * worker of those, it looks itself. The same of its control groups, target_group.h.
 */
#ifndef SQUALL_TARGET_FOLLOW_H
#define SQUALL_TARGET_FOLLOW_H

#include "faults/target.h"

#define TARGET_HOSTS_MAX	  64  /* names of one target */
#define TARGET_HOST_ADDRESSES_MAX 256 /* of one name */

struct target_addresses {
	struct endpoint *list; /* owned; sorted when complete */
	unsigned count;
};

struct target_host {
	char *name;	    /* owned */
	unsigned parameter; /* TRAFFIC_TO, TRAFFIC_EXCEPT */
	uint16_t port_first, port_last;
	struct target_addresses now, next; /* next: being told, or before: what was now */
	int64_t paid_until_ns;		   /* of the ration of changes, the caller's */
};

bool target_follows(const struct params *params);
/* There are host names among its endpoints. */
bool target_follows_names(const struct params *params);
/* There is something to follow. For whoever reads the experiment as well. */
int target_check_follow(const struct params *params, struct error *err);

/* Before it is resolved. `text` as in the file, "store.internal:443". */
int target_add_host(struct target *target, unsigned parameter, const char *text, struct error *err);
/* Addresses with blanks between, which come after those that came before. */
int target_tell_addresses(struct target *target, unsigned host, const char *text,
			  struct error *err);
/* These were all. What they replace is kept in `next`, for target_swap_addresses(). *out_changed:
 * they are others than before. */
int target_end_addresses(struct target *target, unsigned host, bool *out_changed,
			 struct error *err);
/* Back to what they were, or to what they were going to be. */
int target_swap_addresses(struct target *target, unsigned host, struct error *err);
/* What is in `next` is of no use any more. */
void target_drop_addresses(struct target *target, unsigned host);
/* "10.0.5.7, 10.0.5.8"; as many as there is room for. */
void target_format_addresses(const struct target_addresses *addresses, char *out, size_t size);

/* target_follow_interfaces.c */
#define TARGET_INTERFACES_MAX 256 /* that are followed at a time */
bool target_follows_interfaces(const struct params *params);
/* They are those that the routes to its endpoints lead to. */
bool target_follows_routes(const struct params *params);
/* When it is resolved: from now on somebody can look again. */
int target_follow_interfaces_begin(struct target *target, struct error *err);
/* What has appeared, which is not the target's yet, and what has gone, which is not any more. What
 * was passed over is not shown again, nor what comes beyond TARGET_INTERFACES_SEEN: the looks of
 * one who is shown interfaces without end take no longer and longer. The caller frees with
 * target_forget_look(). */
#define TARGET_INTERFACES_SEEN 1024
struct target_look {
	struct target_interface *appeared; /* owned */
	unsigned appeared_count;
	char gone[300];			   /* in words: "veth5 (gone), veth6 (renamed)"; or "" */
	unsigned gone_count, gone_unnamed; /* of those some may have had no room in the words */
};
int target_look_again(struct target *target, struct target_look *out, struct error *err);
void target_forget_look(struct target_look *look);
int target_take_interface(struct target *target, const struct target_interface *interface,
			  struct error *err);
/* One of those that are followed is not there any more, under its number and name. */
bool target_has_lost_interface(const struct target *target);
/* No longer one of the target's; the next look finds it again. */
void target_leave_interface(struct target *target, const struct target_interface *interface);
/* Refused: it is not the target's, and nobody asks for it again until it has gone. */
void target_pass_over(struct target *target, const struct target_interface *interface);
void target_forget_interfaces(struct target *target);

/* target_follow_plan.c */
struct plan;
int target_list_followed(const struct target *target, struct plan *plan);

/* The addresses of all names join the target's endpoints. */
int target_follow_begin(struct target *target, struct error *err);
/* `to`, which has none yet, follows the same names, and has the addresses they have now. */
int target_follow_copy(const struct target *from, struct target *to, struct error *err);
void target_follow_free(struct target *target);

#endif
