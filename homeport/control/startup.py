"""What must be true before the first agent may connect."""

from msgspec.structs import replace

from homeport.store.store import Store, Tx


def close_former_sessions(store: Store) -> int:
    """No agent is connected to a process that has just started, whatever the rows say. Returns the version to await.

    The instances' tasks are left alone: their connectivity is written when an agent stays away (`control.instance`).
    """

    def change(tx: Tx) -> None:
        for instance in tx.container_instances:
            if instance.agent_connected:
                tx.container_instances.put(
                    replace(instance, agent_connected=False, disconnected_at=tx.now, version=instance.version + 1)
                )

    _, version = store.update(change)
    return version
