/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the running kernel can do, tried in a namespace thrown away afterwards.
 */
#ifndef SQUALL_NETWORK_SUPPORT_H
#define SQUALL_NETWORK_SUPPORT_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct network_support {
	bool has_hook; /* owned table, egress hook, fwd, random numbers */
	bool has_gate; /* filters at clsact instead; only asked when there is no hook */
	bool has_ifb;
	bool has_netem;		   /* ifb and netem */
	bool has_netem_seed;	   /* and it keeps a seed (6.6) */
	bool lacks_netem_for_good; /* the kernel does not know it: not a lack of privileges */
	char hook_reason[200], gate_reason[200],
		netem_reason[200]; /* the kernel's words when not */
};
/* Tried once a boot, see network_finding.h. In the environment SQUALL_NETEM=off plays a kernel
 * without netem, SQUALL_HOOK=clsact one without the nf_tables egress hook; SQUALL_LINE=hold lets a
 * delay line begin as one with much to carry, SQUALL_LINE=tap never become one. */
int network_survey(struct network_support *out, struct error *err);
/* Tried now, whatever was found before. */
int network_survey_anew(struct network_support *out, struct error *err);
/* What to do about a missing netem here: distribution, cloud kernel, WSL. */
void network_netem_remedy(char *out, size_t size);

#endif
