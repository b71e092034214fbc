/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names are compared in lower case, as dns_message_read() gives them; the sets are small, and a
 * look through them costs less than the system calls around it.
 */
#include "faults/dns_match.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX    1000
#define PATTERNS_MAX 20
#define EVERY_NAME   "*"

const char *const dns_match_types[] = {"any", "A",   "AAAA", "CNAME", "HTTPS", "MX", "NS",
				       "PTR", "SOA", "SRV",  "SVCB",  "TXT",   NULL};
static const uint16_t type_numbers[] = {0, DNS_TYPE_A, DNS_TYPE_AAAA, 5, DNS_TYPE_HTTPS, 15, 2, 12,
					6, 33,	       DNS_TYPE_SVCB, 16};
_Static_assert(sizeof(type_numbers) / sizeof(*type_numbers) + 1 ==
		       sizeof(dns_match_types) / sizeof(*dns_match_types),
	       "a number for each type");

struct dns_match {
	char **names, **domains; /* owned, lower case, without the last dot */
	unsigned name_count, domain_count;
	regex_t *patterns; /* owned */
	unsigned pattern_count;
	uint16_t *types; /* owned; none: every type */
	unsigned type_count;
	bool has_every_name;
};

/* A name as people write it: labels of letters, digits, - and _, at most 253 characters. */
static int check_name(const char *text, struct error *err)
{
	size_t length = strlen(text), label = 0;

	if (length && text[length - 1] == '.')
		length--;
	if (length == 0 || length > 253)
		return error_set(err, EINVAL, "'%.60s' is not a name: 1 to 253 characters", text);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.') {
			if (label == 0)
				return error_set(err, EINVAL, "'%.60s': a label is empty", text);
			label = 0;
			continue;
		}
		if (!isascii(c) || !(isalnum(c) || c == '-' || c == '_')) {
			error_set(err, EINVAL, "'%.60s' is not the name of a host", text);
			return error_remedy(
				err, "%s",
				isascii(c) ? "names with `domain` include all below them; other "
					     "sets of names are written with `pattern`"
					   : "write it as it is asked for: in its form xn--...");
		}
		if (++label > 63)
			return error_set(err, EINVAL, "'%.60s': a label has at most 63 characters",
					 text);
	}
	return label ? 0 : error_set(err, EINVAL, "'%.60s': a label is empty", text);
}

static int check_names(const struct params *params, unsigned key, bool allow_every,
		       struct error *err)
{
	int result = 0;

	if (params_count(params, key) > NAMES_MAX)
		return error_set(err, E2BIG, "%s: more than %d", params->table[key].name,
				 NAMES_MAX);
	for (unsigned i = 0; result == 0 && i < params_count(params, key); i++) {
		const char *text = params_value(params, key, i)->text;

		if (allow_every && strcmp(text, EVERY_NAME) == 0)
			continue;
		result = check_name(text, err);
	}
	if (result < 0)
		error_prefix(err, "%s", params->table[key].name);
	return result;
}

int dns_match_check(const struct params *params, const struct dns_match_keys *keys,
		    struct error *err)
{
	int result;

	if (!params_count(params, keys->name) && !params_count(params, keys->domain) &&
	    !params_count(params, keys->pattern)) {
		error_set(err, EINVAL, "which names? give name, domain or pattern");
		return error_remedy(err, "name: \"*\" is every name");
	}
	if (params_count(params, keys->pattern) > PATTERNS_MAX)
		return error_set(err, E2BIG, "pattern: more than %d", PATTERNS_MAX);
	result = check_names(params, keys->name, true, err);
	return result < 0 ? result : check_names(params, keys->domain, false, err);
}

static char *lower(const char *text)
{
	char *copy = strdup(text);
	size_t length = copy ? strlen(copy) : 0;

	if (length && copy[length - 1] == '.')
		copy[length - 1] = '\0';
	for (char *c = copy; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

static int copy_names(const struct params *params, unsigned key, char ***out, unsigned *out_count,
		      bool *out_every)
{
	unsigned count = params_count(params, key);

	*out = calloc(count ? count : 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		const char *text = params_value(params, key, i)->text;

		if (strcmp(text, EVERY_NAME) == 0) {
			*out_every = true;
			continue;
		}
		(*out)[*out_count] = lower(text);
		if (!(*out)[(*out_count)++])
			return -ENOMEM;
	}
	return 0;
}

static int compile(struct dns_match *match, const struct params *params, unsigned key,
		   struct error *err)
{
	unsigned count = params_count(params, key);

	match->patterns = calloc(count ? count : 1, sizeof(*match->patterns));
	if (!match->patterns)
		return error_errno(err, ENOMEM, "cannot keep the patterns");
	for (; match->pattern_count < count; match->pattern_count++) {
		const char *text = params_value(params, key, match->pattern_count)->text;

		/* it was compiled once as a check, when it was read */
		if (regcomp(&match->patterns[match->pattern_count], text,
			    REG_EXTENDED | REG_NOSUB | REG_ICASE) != 0)
			return error_set(err, EINVAL, "pattern '%.60s' is none", text);
	}
	return 0;
}

static int copy_types(struct dns_match *match, const struct params *params, unsigned key)
{
	unsigned count = params_count(params, key);

	match->types = calloc(count ? count : 1, sizeof(*match->types));
	if (!match->types)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		int64_t word = params_value(params, key, i)->number;

		if (word == 0) { /* any */
			match->type_count = 0;
			return 0;
		}
		match->types[match->type_count++] = type_numbers[word];
	}
	return 0;
}

int dns_match_new(const struct params *params, const struct dns_match_keys *keys,
		  struct dns_match **out, struct error *err)
{
	struct dns_match *match;
	int result = dns_match_check(params, keys, err);

	if (result < 0)
		return result;
	match = calloc(1, sizeof(*match));
	if (!match)
		return error_errno(err, ENOMEM, "cannot keep the names");
	result = compile(match, params, keys->pattern, err);
	if (result == 0) {
		result = copy_names(params, keys->name, &match->names, &match->name_count,
				    &match->has_every_name);
		if (result == 0)
			result = copy_names(params, keys->domain, &match->domains,
					    &match->domain_count, &match->has_every_name);
		if (result == 0)
			result = copy_types(match, params, keys->type);
		if (result < 0)
			error_errno(err, -result, "cannot keep the names");
	}
	if (result < 0) {
		dns_match_free(match);
		return result;
	}
	*out = match;
	return 0;
}

static void free_names(char **names, unsigned count)
{
	for (unsigned i = 0; names && i < count; i++)
		free(names[i]);
	free(names);
}

void dns_match_free(struct dns_match *match)
{
	if (!match)
		return;
	free_names(match->names, match->name_count);
	free_names(match->domains, match->domain_count);
	for (unsigned i = 0; i < match->pattern_count; i++)
		regfree(&match->patterns[i]);
	free(match->patterns);
	free(match->types);
	free(match);
}

static bool is_within(const char *name, const char *domain)
{
	size_t length = strlen(name), tail = strlen(domain);

	return length >= tail && strcmp(name + length - tail, domain) == 0 &&
	       (length == tail || name[length - tail - 1] == '.');
}

static bool has_type(const struct dns_match *match, uint16_t type)
{
	for (unsigned i = 0; i < match->type_count; i++)
		if (match->types[i] == type)
			return true;
	return match->type_count == 0;
}

bool dns_match_holds(const struct dns_match *match, const struct dns_question *question)
{
	if (!has_type(match, question->type))
		return false;
	if (match->has_every_name)
		return true;
	for (unsigned i = 0; i < match->name_count; i++)
		if (strcmp(question->name, match->names[i]) == 0)
			return true;
	for (unsigned i = 0; i < match->domain_count; i++)
		if (is_within(question->name, match->domains[i]))
			return true;
	for (unsigned i = 0; i < match->pattern_count; i++)
		if (regexec(&match->patterns[i], question->name, 0, NULL, 0) == 0)
			return true;
	return false;
}
