"""`planner price call` as a document: what one call costs, term by term."""

from planner.prices.call import CallPrice, CallTokens
from planner.prices.currency import money as cents
from planner.prices.price import ApiPrice
from planner.report.document import Document, Table
from planner.report.price_amounts import Money
from planner.report.price_document import price_data


def price_call_document(
    price: ApiPrice, call: CallPrice, tokens: CallTokens, calls: int, money: Money
) -> Document:
    """The terms of one call, their sum, and that of all calls."""
    terms = (
        ("fresh input", tokens.fresh, call.fresh_input_usd),
        ("cached input", tokens.cached, call.cached_input_usd),
        ("written to the cache", tokens.cache_written, call.cache_write_usd),
        ("thinking", tokens.thinking, call.thinking_usd),
        ("output", tokens.output, call.output_usd),
        ("per request", None, call.request_usd),
    )
    total = call.total_usd * calls
    many = f"; {calls:,} of them {money.amount(total)}" if calls > 1 else ""
    return Document(
        schema="planner.price-call/1",
        title="Price of a call",
        answer=(
            (
                f"A call of {call.model_id} at {call.provider} ({call.processing}) costs "
                f"{money.amount(call.total_usd)}{many}; from {call.source}."
            ),
        ),
        tables=(
            Table(
                title="",
                headers=("term", "tokens", "cost"),
                rows=(
                    *(
                        (name, "–" if count is None else f"{count:,}", money.amount(usd))
                        for name, count, usd in terms
                        if count or usd
                    ),
                    ("total", "", money.amount(call.total_usd)),
                ),
                right=(1, 2),
            ),
        ),
        notes=(*call.notes, *money.notes),
        data={
            "currency": money.data(),
            "price": price_data(price),
            "processing": call.processing,
            "terms_usd": {
                "fresh_input": call.fresh_input_usd,
                "cached_input": call.cached_input_usd,
                "cache_write": call.cache_write_usd,
                "thinking": call.thinking_usd,
                "output": call.output_usd,
                "request": call.request_usd,
            },
            "total_usd": call.total_usd,
            "calls": calls,
            "all_calls_usd": total,
            "all_calls_usd_cents": str(cents(total)),
            "notes": list(call.notes),
        },
    )
