/* The opcodes of protocols 2 to 5, and those of protocol 0 that appear in them. pickletools of Python
 * describes each. */
#include "io/formats/pickle_machine.h"

#include <inttypes.h>
#include <string.h>

#define MARK (-2)

/* Room for one more in a list; all lists together have a limit, as one byte of a pickle may need many. */
static nft_status make_room(nft_pickle *p, void *list, int64_t *capacity, int64_t count, size_t size)
{
    int64_t used = p->value_capacity * (int64_t)sizeof *p->values +
                   p->cell_capacity * (int64_t)sizeof *p->cells +
                   (p->stack_capacity + p->memo_capacity) * (int64_t)sizeof *p->stack;
    if (count < *capacity)
        return NFT_OK;
    if (count >= INT32_MAX || nft_size_add(used, nft_size_multiply(*capacity, (int64_t)size)) > p->limit)
        return nft_fail(NFT_ERROR_LIMIT, "the pickle makes more objects than %" PRId64 " bytes hold",
                        p->limit);
    return nft_grow(list, count + 1, capacity, size, "a list", 0);
}

nft_status nft_pickle_new(nft_pickle *p, nft_pickle_kind kind, nft_pickle_ref *ref)
{
    nft_status status = make_room(p, &p->values, &p->value_capacity, p->value_count, sizeof *p->values);
    if (status)
        return status;
    *ref = (nft_pickle_ref)p->value_count++;
    nft_pickle_value *value = &p->values[*ref];
    *value = (nft_pickle_value){.kind = kind};
    if (kind == NFT_PICKLE_TUPLE || kind == NFT_PICKLE_LIST || kind == NFT_PICKLE_DICT)
        value->as.items.first = value->as.items.last = -1;
    return NFT_OK;
}

nft_status nft_pickle_append(nft_pickle *p, nft_pickle_ref container, nft_pickle_ref key,
                             nft_pickle_ref value)
{
    nft_status status = make_room(p, &p->cells, &p->cell_capacity, p->cell_count, sizeof *p->cells);
    if (status)
        return status;
    int32_t cell = (int32_t)p->cell_count++;
    nft_pickle_value *into = &p->values[container];
    p->cells[cell] = (nft_pickle_cell){key, value, -1};
    if (into->as.items.first < 0)
        into->as.items.first = cell;
    else
        p->cells[into->as.items.last].next = cell;
    into->as.items.last = cell;
    into->as.items.count++;
    return NFT_OK;
}

nft_status nft_pickle_push(nft_pickle *p, nft_pickle_ref ref)
{
    nft_status status = make_room(p, &p->stack, &p->stack_capacity, p->depth, sizeof *p->stack);
    if (!status)
        p->stack[p->depth++] = ref;
    return status;
}

nft_status nft_pickle_push_new(nft_pickle *p, nft_pickle_kind kind, nft_pickle_ref *ref)
{
    nft_status status = nft_pickle_new(p, kind, ref);
    return status ? status : nft_pickle_push(p, *ref);
}

nft_status nft_pickle_fail_stack(const nft_pickle *p)
{
    return nft_fail(NFT_ERROR_FORMAT, "the pickle is damaged at byte %" PRId64 ": nothing fits there",
                    p->at - 1);
}

/* The topmost value; a mark is none. */
static nft_status pop(nft_pickle *p, nft_pickle_ref *ref)
{
    if (!p->depth || p->stack[p->depth - 1] == MARK)
        return nft_pickle_fail_stack(p);
    *ref = p->stack[--p->depth];
    return NFT_OK;
}

static nft_status top(const nft_pickle *p, nft_pickle_ref *ref)
{
    if (!p->depth || p->stack[p->depth - 1] == MARK)
        return nft_pickle_fail_stack(p);
    *ref = p->stack[p->depth - 1];
    return NFT_OK;
}

/* The place of the topmost mark, from 0. */
static nft_status find_mark(const nft_pickle *p, int64_t *mark)
{
    for (*mark = p->depth - 1; *mark >= 0 && p->stack[*mark] != MARK;)
        --*mark;
    return *mark < 0 ? nft_pickle_fail_stack(p) : NFT_OK;
}

static nft_status run_stack_global(nft_pickle *p)
{
    nft_pickle_ref module = NFT_PICKLE_NO_VALUE, name = NFT_PICKLE_NO_VALUE;
    nft_status status = pop(p, &name);
    if (!status)
        status = pop(p, &module);
    if (status)
        return status;
    bool texts = p->values[module].kind == NFT_PICKLE_TEXT && p->values[name].kind == NFT_PICKLE_TEXT;
    return texts ? nft_pickle_push_class(p, module, name) : nft_pickle_fail_stack(p);
}

/* A container of the values from `from` on, which it replaces. */
static nft_status collect(nft_pickle *p, nft_pickle_kind kind, int64_t from, int64_t new_depth)
{
    nft_pickle_ref container = NFT_PICKLE_NO_VALUE;
    nft_status status = nft_pickle_new(p, kind, &container);
    int64_t step = kind == NFT_PICKLE_DICT ? 2 : 1;
    if (!status && (p->depth - from) % step)
        status = nft_pickle_fail_stack(p);
    for (int64_t i = from; i < p->depth && !status; i += step)
        status = nft_pickle_append(p, container, step == 2 ? p->stack[i] : NFT_PICKLE_NO_VALUE,
                                   p->stack[i + step - 1]);
    p->depth = new_depth;
    return status ? status : nft_pickle_push(p, container);
}

static nft_status collect_marked(nft_pickle *p, nft_pickle_kind kind)
{
    int64_t mark;
    nft_status status = find_mark(p, &mark);
    return status ? status : collect(p, kind, mark + 1, mark);
}

static nft_status collect_topmost(nft_pickle *p, int count)
{
    if (p->depth < count)
        return nft_pickle_fail_stack(p);
    for (int64_t i = p->depth - count; i < p->depth; i++)
        if (p->stack[i] == MARK)
            return nft_pickle_fail_stack(p);
    return collect(p, NFT_PICKLE_TUPLE, p->depth - count, p->depth - count);
}

/* Adds the values from `from` on to the container below them. An object's own items are not kept. */
static nft_status add_items(nft_pickle *p, int64_t from, int64_t new_depth, bool pairs)
{
    int64_t step = pairs ? 2 : 1;
    nft_status status = NFT_OK;
    if (new_depth < 1 || p->stack[new_depth - 1] == MARK || (p->depth - from) % step)
        return nft_pickle_fail_stack(p);
    nft_pickle_ref container = p->stack[new_depth - 1];
    nft_pickle_kind kind = p->values[container].kind;
    if (kind != (pairs ? NFT_PICKLE_DICT : NFT_PICKLE_LIST) && kind != NFT_PICKLE_OBJECT)
        return nft_pickle_fail_stack(p);
    for (int64_t i = from; i < p->depth && !status && kind != NFT_PICKLE_OBJECT; i += step)
        status = nft_pickle_append(p, container, pairs ? p->stack[i] : NFT_PICKLE_NO_VALUE,
                                   p->stack[i + step - 1]);
    p->depth = new_depth;
    return status;
}

static nft_status add_marked(nft_pickle *p, bool pairs)
{
    int64_t mark;
    nft_status status = find_mark(p, &mark);
    return status ? status : add_items(p, mark + 1, mark, pairs);
}

static nft_status add_topmost(nft_pickle *p, bool pair)
{
    int64_t count = pair ? 2 : 1;
    for (int64_t i = p->depth - count; i < p->depth; i++)
        if (i < 0 || p->stack[i] == MARK)
            return nft_pickle_fail_stack(p);
    return add_items(p, p->depth - count, p->depth - count, pair);
}

static nft_status pop_marked(nft_pickle *p)
{
    int64_t mark;
    nft_status status = find_mark(p, &mark);
    if (!status)
        p->depth = mark;
    return status;
}

static nft_status put(nft_pickle *p, uint64_t number)
{
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    nft_status status = top(p, &ref);
    if (status || number > (uint64_t)p->memo_count)
        return status ? status : nft_pickle_fail_stack(p);
    if (number == (uint64_t)p->memo_count) {
        status = make_room(p, &p->memo, &p->memo_capacity, p->memo_count, sizeof *p->memo);
        p->memo_count += !status;
    }
    if (!status)
        p->memo[number] = ref;
    return status;
}

static nft_status get(nft_pickle *p, uint64_t number)
{
    return number < (uint64_t)p->memo_count ? nft_pickle_push(p, p->memo[number]) : nft_pickle_fail_stack(p);
}

/* `run` takes the number that stands in `size` bytes, or in a line (0). */
static nft_status run_memo(nft_pickle *p, int size, nft_status (*run)(nft_pickle *, uint64_t))
{
    uint64_t number = 0;
    const char *line = NULL;
    int64_t length = 0;
    nft_status status =
        size ? nft_pickle_take_number(p, size, &number) : nft_pickle_take_line(p, &line, &length);
    for (int64_t i = 0; !size && !status && i < length && number < INT32_MAX; i++)
        number = number * 10 + (uint64_t)(line[i] - '0');
    return status ? status : run(p, number);
}

static nft_status run_call(nft_pickle *p, bool with_names)
{
    nft_pickle_ref function = NFT_PICKLE_NO_VALUE, arguments = NFT_PICKLE_NO_VALUE, names,
                   result = NFT_PICKLE_NO_VALUE;
    nft_status status = with_names ? pop(p, &names) : NFT_OK;
    if (!status)
        status = pop(p, &arguments);
    if (!status)
        status = pop(p, &function);
    if (!status && p->values[arguments].kind != NFT_PICKLE_TUPLE)
        status = nft_pickle_fail_stack(p);
    if (!status)
        status = nft_pickle_call(p, function, arguments, &result);
    return status ? status : nft_pickle_push(p, result);
}

/* Only objects need a state. That of a dict is ignored. */
static nft_status run_build(nft_pickle *p)
{
    nft_pickle_ref state = NFT_PICKLE_NO_VALUE, object = NFT_PICKLE_NO_VALUE;
    nft_status status = pop(p, &state);
    if (!status)
        status = top(p, &object);
    if (!status && p->values[object].kind == NFT_PICKLE_OBJECT)
        p->values[object].as.object.state = state;
    return status;
}

static nft_status run_persistent(nft_pickle *p)
{
    nft_pickle_ref id = NFT_PICKLE_NO_VALUE, ref = NFT_PICKLE_NO_VALUE;
    nft_status status = pop(p, &id);
    if (!status && (p->values[id].kind != NFT_PICKLE_TUPLE ||
                    !nft_pickle_is_text(p, nft_pickle_item(p, id, 0), "storage")))
        status = nft_fail(NFT_ERROR_FORMAT, "the pickle refers to a thing outside of it that is no storage");
    if (!status)
        status = nft_pickle_push_new(p, NFT_PICKLE_STORAGE, &ref);
    if (!status)
        p->values[ref].as.storage.id = id;
    return status;
}

static nft_status run_duplicate(nft_pickle *p)
{
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    nft_status status = top(p, &ref);
    return status ? status : nft_pickle_push(p, ref);
}

static nft_status skip(nft_pickle *p, int count)
{
    const uint8_t *bytes = NULL;
    return nft_pickle_take(p, (uint64_t)count, &bytes);
}

/* Opcodes that work on the stack and the memo. */
static nft_status run_structure(nft_pickle *p, uint8_t code)
{
    nft_pickle_ref ref = NFT_PICKLE_NO_VALUE;
    switch (code) {
    case '(':
        return nft_pickle_push(p, MARK);
    case '0': /* POP */
        return p->depth && p->stack[p->depth - 1] == MARK ? (p->depth--, NFT_OK) : pop(p, &ref);
    case '1': /* POP_MARK */
        return pop_marked(p);
    case '2': /* DUP */
        return run_duplicate(p);
    case 't':
        return collect_marked(p, NFT_PICKLE_TUPLE);
    case 0x85: /* TUPLE1 */
    case 0x86:
    case 0x87:
        return collect_topmost(p, code - 0x84);
    case 'l':  /* LIST */
    case 0x91: /* FROZENSET */
        return collect_marked(p, NFT_PICKLE_LIST);
    case 'd':
        return collect_marked(p, NFT_PICKLE_DICT);
    case 'a': /* APPEND */
        return add_topmost(p, false);
    case 'e':  /* APPENDS */
    case 0x90: /* ADDITEMS */
        return add_marked(p, false);
    case 's': /* SETITEM */
        return add_topmost(p, true);
    case 'u': /* SETITEMS */
        return add_marked(p, true);
    case 0x93:
        return run_stack_global(p);
    case 'R':  /* REDUCE */
    case 0x81: /* NEWOBJ */
        return run_call(p, false);
    case 0x92: /* NEWOBJ_EX */
        return run_call(p, true);
    case 'b':
        return run_build(p);
    case 'Q': /* BINPERSID */
        return run_persistent(p);
    case 'p': /* PUT */
        return run_memo(p, 0, put);
    case 'q':
        return run_memo(p, 1, put);
    case 'r':
        return run_memo(p, 4, put);
    case 0x94: /* MEMOIZE */
        return put(p, (uint64_t)p->memo_count);
    case 'g': /* GET */
        return run_memo(p, 0, get);
    case 'h':
        return run_memo(p, 1, get);
    case 'j':
        return run_memo(p, 4, get);
    case 0x80: /* PROTO */
        return skip(p, 1);
    case 0x95: /* FRAME */
        return skip(p, 8);
    default:
        return nft_fail(NFT_ERROR_FORMAT,
                        "the pickle has opcode 0x%02x at byte %" PRId64
                        ", which is not read; save it again with torch.save",
                        code, p->at - 1);
    }
}

nft_status nft_pickle_run(nft_pickle *p, nft_pickle_ref *value)
{
    nft_status status = NFT_OK;
    p->depth = p->memo_count = 0;
    for (;;) {
        if (p->at >= p->size)
            return nft_pickle_fail_short(p);
        uint8_t code = p->bytes[p->at++];
        if (code == '.')
            return pop(p, value);
        if (!nft_pickle_run_literal(p, code, &status))
            status = run_structure(p, code);
        if (status)
            return status;
    }
}

void nft_pickle_clear(nft_pickle *p)
{
    nft_release(p->values);
    nft_release(p->cells);
    nft_release(p->stack);
    nft_release(p->memo);
    *p = (nft_pickle){0};
}
