/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the owner of a machine wants of every run beside the policy: who is told, where metrics are
 * written. The file may be readable by root alone, so that addresses in it stay secret. Like the
 * policy it is read before anybody's experiment is.
 */
#ifndef SQUALL_POLICY_SITE_H
#define SQUALL_POLICY_SITE_H

#include "injector/experiment/model.h"

#define SITE_PATH "/etc/squall/site.yaml"

struct site {
	struct experiment_notification *notifications; /* owned */
	unsigned notification_count;
	char *metrics; /* owned; NULL: nowhere */
};

/* No file: empty. -EINVAL: what is wrong, with its place. */
int site_load(const char *path, struct site *out, struct error *err);
int site_parse(const char *text, size_t length, const char *path, struct site *out,
	       struct error *err);
/* Its notifications go into the experiment, behind those of the file. */
int site_apply(struct site *site, struct experiment *experiment, struct error *err);
void site_free(struct site *site);

#endif
