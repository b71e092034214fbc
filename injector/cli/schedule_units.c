/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/cli/schedule_units.h"

#include "injector/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* What systemd would expand or split: see systemd.syntax(7), systemd.service(5). */
static void put_word(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if (*text == '%' || *text == '$')
			fputc(*text, out);
		fputc(*text, out);
	}
	fputc('"', out);
}

/* One value to the end of the line: only specifiers are special. */
static void put_line(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '%')
			fputc('%', out);
		fputc(*text == '\\' ? '/' : *text, out);
	}
	fputc('\n', out);
}

static void put_head(FILE *out, const struct schedule_plan *plan, const char *what)
{
	fprintf(out, SCHEDULE_MARK "%s\n[Unit]\nDescription=%s", plan->name, what);
	put_line(out, plan->title);
	fputs("Documentation=man:squall(8) man:squall-experiment(5)\n", out);
}

char *schedule_timer(const struct schedule_plan *plan)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	put_head(out, plan, "squall, when: ");
	fprintf(out, "\n[Timer]\nOnCalendar=%s\n", plan->calendar);
	if (plan->delay)
		fprintf(out, "RandomizedDelaySec=%s\n", plan->delay);
	/* a game day that was missed is not made up for in the night after */
	fprintf(out,
		"AccuracySec=1s\nPersistent=false\nUnit=squall-%s.service\n\n"
		"[Install]\nWantedBy=timers.target\n",
		plan->name);
	return fclose(out) == 0 ? text : NULL;
}

/* No directive that makes a mount namespace (ProtectSystem= and the like): a file fault changes the
 * machine's own files. Not restricted either: namespaces of networks, netlink, BPF, cgroups, the
 * settings of lo, real time. */
static const char hardening[] =
	"NoNewPrivileges=yes\n"
	"LockPersonality=yes\n"
	"RestrictSUIDSGID=yes\n"
	"RestrictNamespaces=net mnt\n"
	"SystemCallArchitectures=native\n"
	"CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT CAP_MKNOD "
	"CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_SYSLOG CAP_WAKE_ALARM\n"
	"UMask=0022\n";

char *schedule_service(const struct schedule_plan *plan)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	put_head(out, plan, "squall: ");
	/* A oneshot that runs is not started again, so a schedule never overlaps itself. */
	fputs("After=network-online.target squall-restore.service\n"
	      "Wants=network-online.target\n\n[Service]\nType=oneshot\nExecStart=",
	      out);
	put_word(out, plan->program);
	fputs(" run ", out);
	put_word(out, plan->file);
	fputs("\nExecStopPost=", out);
	put_word(out, plan->program);
	/* The first signal goes to the conductor alone: it restores. What is silent after the
	 * patience is killed with all of its group, and ExecStopPost= undoes what is left. */
	fprintf(out,
		" restore\nKillMode=mixed\nTimeoutStartSec=%lld\nTimeoutStopSec=90\nRestart=no\n\n",
		(long long)(plan->duration_ns / NSEC_PER_SEC + 120));
	fputs(hardening, out);
	return fclose(out) == 0 ? text : NULL;
}
