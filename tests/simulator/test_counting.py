from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import urllib3


def tag(number, attempt=1):
    return f"{UUID(int=number)}_P3_{attempt}"


def test_counts_are_exact_under_64_connections(simulated):
    names = ["anna", "bounce", "lost", "down"]

    def send(number):
        try:
            simulated.send(f"{names[number % 4]}+{number}@example.com", tag=tag(number))
        except urllib3.exceptions.ProtocolError:
            assert names[number % 4] == "lost"

    with ThreadPoolExecutor(64) as threads:
        list(threads.map(send, range(1600)))
    assert simulated.control("GET", "counts") == {
        "accepted": 1200,
        "gateways": {
            "postal": {
                "accepted": {"delivered": 400, "bounce": 400, "lost": 400},
                "refused": {"down": 400},
            }
        },
    }
    taken = Counter(entry["uuid"] for entry in simulated.entries())
    assert taken == {str(UUID(int=number)): 1 for number in range(1600) if number % 4 != 3}


def test_each_try_of_a_message_is_listed(simulated):
    for attempt in (1, 2):
        simulated.send("anna@example.com", tag=tag(7, attempt))
    simulated.send("anna@example.com", tag=tag(8))
    found = simulated.control("GET", f"messages?uuid={UUID(int=7)}")["messages"]
    assert [(entry["attempt"], entry["priority"], entry["gateway"]) for entry in found] == [
        (1, "P3", "postal"),
        (2, "P3", "postal"),
    ]


def test_a_uuid_is_not_found_across_two_others(simulated):
    first, second = UUID("00" * 8 + "aa" * 8), UUID("bb" * 8 + "00" * 8)
    for uuid in (first, second):
        simulated.send("anna@example.com", tag=f"{uuid}_P1_1")
    across = UUID("aa" * 8 + "bb" * 8)
    assert simulated.control("GET", f"messages?uuid={across}") == {"messages": []}
    assert len(simulated.control("GET", f"messages?uuid={second}")["messages"]) == 1


def test_a_tag_of_somebody_else_is_kept_as_it_is(simulated):
    simulated.send("anna@example.com", tag="their-own_tag")
    [entry] = simulated.entries()
    assert (entry["tag"], entry["uuid"], entry["attempt"]) == ("their-own_tag", None, None)


def test_forgetting_starts_again_from_nothing(simulated):
    simulated.send("anna@example.com")
    assert simulated.control("DELETE", "messages") == {"accepted": 0}
    assert simulated.entries() == []
    assert simulated.control("GET", "counts") == {"accepted": 0, "gateways": {}}


def test_a_journal_is_known_to_the_next_simulator(start, tmp_path):
    first = start(journal=tmp_path / "journal")
    first.send("anna@example.com", tag=tag(1))
    first.send("bounce@example.com", tag="foreign")
    second = start(journal=tmp_path / "journal")
    assert second.entries() == first.entries()
    assert second.control("GET", "counts") == first.control("GET", "counts")
    second.send("anna@example.com", tag=tag(2))
    serials = [entry["serial"] for entry in second.entries()]
    assert serials == sorted(set(serials))


def test_a_journal_cut_off_in_a_line_loses_only_that_line(start, tmp_path):
    journal = tmp_path / "journal"
    first = start(journal=journal)
    first.send("anna@example.com", tag=tag(1))
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[: len(whole) // 2])
    second = start(journal=journal)
    second.send("anna@example.com", tag=tag(2))
    third = start(journal=journal)
    assert [entry["uuid"] for entry in third.entries()] == [str(UUID(int=1)), str(UUID(int=2))]


def test_forgetting_empties_the_journal_too(start, tmp_path):
    first = start(journal=tmp_path / "journal")
    first.send("anna@example.com")
    first.control("DELETE", "messages")
    assert start(journal=tmp_path / "journal").entries() == []
