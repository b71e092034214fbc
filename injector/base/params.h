/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Parameter tables. One table describes what a fault, a target selector or a probe accepts;
 * parsing, error messages, `squall faults`, the manual and the JSON Schema all come from it.
 * Values are kept with the text they came from, so that the privileged side can parse the same
 * text again with the same table instead of trusting a parsed value.
 */
#ifndef SQUALL_PARAMS_H
#define SQUALL_PARAMS_H

#include "injector/base/endpoint.h"
#include "injector/base/error.h"

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum param_type {
	PARAM_TEXT,    /* any text of 1..PARAM_TEXT_MAX bytes without control characters */
	PARAM_LINE,    /* a line of a file: 0..PARAM_TEXT_MAX bytes; tabs are allowed */
	PARAM_NAME,    /* a name: letters, digits, _ - . @ : and / ; for interfaces, units, users */
	PARAM_PATH,    /* absolute path, no control characters */
	PARAM_WORD,    /* one of .words */
	PARAM_BOOL,    /* true, false */
	PARAM_INTEGER, /* number; min..max */
	PARAM_DURATION,		/* number = nanoseconds */
	PARAM_SHARE,		/* number = parts per billion */
	PARAM_RATE,		/* number = bits a second */
	PARAM_SIZE,		/* number = bytes */
	PARAM_SIGNAL,		/* number = signal; "KILL", "SIGKILL" or "9" */
	PARAM_ENDPOINT,		/* endpoint */
	PARAM_NETWORK,		/* endpoint: an address or network alone */
	PARAM_PORTS,		/* ports */
	PARAM_PATTERN,		/* POSIX extended regular expression, compiled once as a check */
	PARAM_TARGET,		/* name of a target of the same experiment */
	PARAM_COMPARE_NUMBER,	/* "< 60", ">= 3", "200", "200-299" */
	PARAM_COMPARE_DURATION, /* "< 1s" */
	PARAM_STRENGTH,		/* share, duration or rate; number of a share alone, else -1 */
};

#define PARAM_TEXT_MAX 400 /* one value fits one request between the processes */

enum param_flags {
	PARAM_REQUIRED = 1 << 0,
	PARAM_SECRET = 1 << 2, /* never shown, so that a secret may be in it */
	PARAM_LIST = 1 << 1,   /* a sequence of values; a single value is a list of one */
	/* Of a fault's endpoints, for the site policy. Without these: what is named is touched, and
	 * when nothing is, everything. */
	PARAM_SPARED = 1 << 3,	  /* what is named is left out */
	PARAM_NONE_ELSE = 1 << 4, /* when nothing is named, nothing is touched */
	PARAM_GLOB = 1 << 5,	  /* of a name: a pattern as well */
	/* Of a fault's: it is at full strength as given, and a ramp may be written in its values.
	 */
	PARAM_RAMPED = 1 << 6,
	/* The name of a file. fault_ops.load() adds what is in it as further values, which nobody
	 * sees. */
	PARAM_FILE = 1 << 7,
};

struct param {
	const char *name; /* as written in the file, lower-case with dashes; NULL ends a table */
	enum param_type type;
	unsigned flags;		  /* enum param_flags */
	int64_t min, max;	  /* in the base unit; both 0: no range beyond the type's own */
	const char *const *words; /* PARAM_WORD; NULL-terminated */
	const char *fallback;	  /* default as text; NULL: none */
	const char *doc;	  /* one line, no full stop */
	const char *example;	  /* a value that fits; NULL: one that its type gives */
};

enum compare_op {
	COMPARE_EQ,
	COMPARE_NE,
	COMPARE_LT,
	COMPARE_LE,
	COMPARE_GT,
	COMPARE_GE,
	COMPARE_RANGE
};

struct compare {
	enum compare_op op;
	double low, high; /* duration: nanoseconds; high only for COMPARE_RANGE */
};

struct param_value {
	char *text; /* as written, owned */
	int line, column;
	union {
		int64_t number; /* BOOL: 0/1; WORD: index into words; and all numeric types */
		struct endpoint endpoint;
		struct {
			uint16_t first, last;
		} ports;
		struct compare compare;
	};
};

struct param_setting {
	unsigned count;
	struct param_value *values; /* owned */
};

/* The values given for one table: settings[i] belongs to table[i]. */
struct params {
	const struct param *table;
	unsigned count;
	struct param_setting *settings;
};

/* Parses one value by its description. `err` says what is allowed, without position or name. */
int param_parse(const struct param *param, const char *text, struct param_value *out,
		struct error *err);
void param_value_free(struct param_value *value);
/* What a value may be, for people: "duration, 1us to 1h"; "one of egress, ingress, both". */
void param_describe(const struct param *param, char *out, size_t size);
/* Its values are endpoints: without blanks, and there may be many. */
bool param_is_endpoint(const struct param *param);
/* A name with *, ? or [ in it, for fnmatch(). */
bool param_is_glob(const char *text);
/* The unit-bearing type name: "duration", "share", ... */
const char *param_type_name(enum param_type type);

int params_init(struct params *params, const struct param *table, struct error *err);
void params_free(struct params *params);
/* `out` is another one with the same values; -ENOMEM. */
int params_copy(const struct params *params, struct params *out, struct error *err);
/* How many values there are, and what their texts take. */
void params_measure(const struct params *params, size_t *out_values, size_t *out_bytes);
/* Index in the table, or -1. */
int params_find(const struct param *table, const char *name);
/* Nearest known name within a small edit distance, or NULL. */
const char *params_nearest(const struct param *table, const char *name);
/* As params_nearest over any list of names (NULL-terminated). */
const char *names_nearest(const char *const *names, const char *name);

/* Adds a value; a second value for a non-list parameter is -EEXIST. What stands for several
 * endpoints (endpoint_expand()) becomes as many values. */
int params_add(struct params *params, unsigned index, const char *text, int line, int column,
	       struct error *err);
/* Keeps the first `count` values of a list. */
void params_truncate(struct params *params, unsigned index, unsigned count);
/* Checks that everything PARAM_REQUIRED is there, but for targets: those are bound by name. */
int params_check_required(const struct params *params, struct error *err);

bool params_is_set(const struct params *params, unsigned index);
unsigned params_count(const struct params *params, unsigned index);
/* The number of the value, of the fallback, or `otherwise`. */
int64_t params_number(const struct params *params, unsigned index, int64_t otherwise);
/* The text of the value or of the fallback, or NULL. */
const char *params_text(const struct params *params, unsigned index);
const struct param_value *params_value(const struct params *params, unsigned index, unsigned at);

bool compare_holds(const struct compare *compare, double value);

/* "KILL" for SIGKILL; NULL for what has no name. The other way: number or -1. */
const char *signal_name(int number);
int signal_number(const char *name);

#endif
