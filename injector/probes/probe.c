/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of probe kinds, from probes.def, and what the kinds share. Nothing here waits.
 */
#include "injector/probes/probe.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PROBE(name) extern const struct probe_ops name##_probe;
#include "injector/probes/probes.def"
#undef PROBE

static const struct probe_ops *const all[] = {
#define PROBE(name) &name##_probe,
#include "injector/probes/probes.def"
#undef PROBE
	NULL,
};

const char *const probe_result_names[] = {
	[PROBE_PASS] = "pass",
	[PROBE_FAIL] = "fail",
	[PROBE_UNKNOWN] = "unknown",
};

bool probe_is_timed(const struct probe_ops *ops)
{
	return ops->expect && params_find(ops->expect, "latency") >= 0;
}

const struct probe_ops *const *probe_all(void)
{
	return all;
}

const struct probe_ops *probe_find(const char *name)
{
	for (unsigned i = 0; all[i]; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

void probe_finish(struct probe *probe, enum probe_result result, double value, const char *format,
		  ...)
{
	struct probe_sample sample = {
		.result = result,
		.started_ns = probe->attempt_started_ns,
		.latency_ns = probe->latency_ns,
		.value = value,
	};
	va_list args;

	if (result == PROBE_UNKNOWN)
		sample.latency_ns = -1;
	else if (sample.latency_ns == 0)
		sample.latency_ns = probe_take_latency(probe);
	va_start(args, format);
	vsnprintf(sample.reason, sizeof(sample.reason), format, args);
	va_end(args);
	probe->finish(probe, &sample);
}

bool probe_compare(const struct params *params, unsigned index, struct compare *out)
{
	const struct param_value *given = params_value(params, index, 0);
	const struct param *param = &params->table[index];
	struct param_value fallback;

	if (given) {
		*out = given->compare;
		return true;
	}
	if (!param->fallback || param_parse(param, param->fallback, &fallback, NULL) < 0)
		return false;
	*out = fallback.compare;
	param_value_free(&fallback);
	return true;
}

int64_t probe_take_latency(struct probe *probe)
{
	int64_t latency = clock_now_ns() - probe->attempt_started_ns;

	/* 0 would read as "not measured" */
	probe->latency_ns = latency > 0 ? latency : 1;
	return probe->latency_ns;
}

bool probe_latency_holds(const struct probe *probe, unsigned index, int64_t latency_ns,
			 char *reason, size_t size)
{
	char took[QUANTITY_TEXT_SIZE];
	struct compare limit;

	if (!probe_compare(&probe->spec->expect, index, &limit) ||
	    compare_holds(&limit, (double)latency_ns))
		return true;
	snprintf(reason, size, "took %s, expected %s", quantity_format_latency(latency_ns, took),
		 params_text(&probe->spec->expect, index));
	return false;
}

int probe_pattern_compile(const char *pattern, regex_t *out, struct error *err)
{
	char reason[128];
	int code = regcomp(out, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE);

	if (!code)
		return 0;
	regerror(code, out, reason, sizeof(reason));
	return error_set(err, code == REG_ESPACE ? ENOMEM : EINVAL,
			 "cannot use the regular expression '%s': %s", pattern, reason);
}

bool probe_pattern_matches(const regex_t *pattern, const char *text, size_t length)
{
	/* REG_STARTEND (BSD, glibc) bounds the text by length: it may hold NUL bytes */
	regmatch_t range = {.rm_so = 0, .rm_eo = (regoff_t)length};

	return regexec(pattern, text, 1, &range, REG_STARTEND) == 0;
}

bool probe_errno_is_local(int code)
{
	switch (code) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EADDRNOTAVAIL: /* no local port left, or no local address of that family */
	case EAFNOSUPPORT:
		return true;
	default:
		return false;
	}
}

int probe_parse_host_port(const char *text, struct endpoint_host *out, struct error *err)
{
	struct endpoint_host host;
	const struct endpoint *parsed = &host.endpoint;
	int result = endpoint_parse_host(text, &host, err);

	if (result < 0)
		return result;
	if (!parsed->is_name && (parsed->family == AF_UNSPEC ||
				 parsed->prefix != (parsed->family == AF_INET ? 32 : 128)))
		return error_set(err, EINVAL,
				 "'%s' names more than one host; a probe asks exactly one", text);
	if (!parsed->port_first || parsed->port_first != parsed->port_last)
		return error_set(err, EINVAL, "'%s' needs one port; write it like %s", text,
				 parsed->family == AF_INET6 ? "[2001:db8::1]:5432"
							    : "db.internal:5432");
	*out = host;
	return 0;
}

char *probe_excerpt(const char *text, size_t length, char *out, size_t size)
{
	size_t used = 0, at = 0;

	while (at < length && text[at] != '\n' && text[at] && used + 4 < size) {
		unsigned char c = (unsigned char)text[at++];

		out[used++] = isprint(c) ? (char)c : '?';
	}
	out[used] = '\0';
	while (at < length && isspace((unsigned char)text[at]))
		at++;
	if (at < length)
		strcpy(out + used, "...");
	return out;
}
