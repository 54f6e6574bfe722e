"""The technical event log (``jet`` entries): what happened to the register, as opposed to its sales.

Codes below 1000 are those that certified French tills use (not all of them are public: an unknown code is
carried and shown as it is); codes from 1000 on are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crdtsync.model import chain

START, STOP = 80, 40
INTEGRITY_DEFECT = 90
DEGRADED, DEGRADED_END = 70, 120
EXPORT = 110
RIGHTS_CHANGED = 130
DRAWER_OPENED = 170
CANCELLATION = 190
COMPANY_CHANGED = 240
SOFTWARE_CHANGED = 250
FIRST_RUN = 260
SETTINGS_CHANGED = 270
CLOCK_STEP = chain.CLOCK_STEP_CODE
TORN_TAIL, RESTORED, FORK, RELAY_UNREACHABLE, KEY_CHANGED, DAY_CONFIRMED = range(1002, 1008)

LABELS: Final[Mapping[int, tuple[str, str]]] = {
    20: ("Intermediate archive", "Archivage intermédiaire"),
    30: ("Yearly archive", "Archivage de l'exercice"),
    STOP: ("Stop or log-out", "Arrêt du terminal ou fermeture de session"),
    50: ("Day or month closed", "Clôture journalière ou mensuelle"),
    60: ("Year closed", "Clôture annuelle"),
    DEGRADED: ("Working without the relay", "Début du fonctionnement hors ligne"),
    START: ("Start or log-in", "Démarrage du terminal ou ouverture de session"),
    INTEGRITY_DEFECT: ("Integrity defect detected", "Défaut d'intégrité détecté"),
    EXPORT: ("Data exported", "Export de données"),
    DEGRADED_END: ("Relay reached again", "Fin du fonctionnement hors ligne"),
    RIGHTS_CHANGED: ("User rights changed", "Droits d'utilisateur modifiés"),
    DRAWER_OPENED: ("Drawer opened without a sale", "Ouverture du tiroir sans vente"),
    CANCELLATION: ("Cancellation", "Annulation"),
    COMPANY_CHANGED: ("Company data changed", "Données de l'entreprise modifiées"),
    SOFTWARE_CHANGED: ("New software version", "Nouvelle version du logiciel"),
    FIRST_RUN: ("First run", "Initialisation du journal"),
    SETTINGS_CHANGED: ("Conformity settings changed", "Paramètres de conformité modifiés"),
    280: ("Tax inspection", "Opération de contrôle fiscal"),
    290: ("Exchange with the accountant", "Échange avec l'expert-comptable"),
    320: ("Sale abandoned", "Vente abandonnée"),
    330: ("Period opened", "Initialisation de période"),
    CLOCK_STEP: ("The clock went back", "L'horloge a reculé"),
    TORN_TAIL: ("A record cut short by a power failure was dropped", "Enregistrement interrompu écarté"),
    RESTORED: (
        "An older copy was put back, or the end was lost: another chain goes on",
        "Ancienne copie remise en place, ou fin perdue : une autre chaîne continue",
    ),
    FORK: ("Two versions of this register exist", "Deux versions de la caisse existent"),
    RELAY_UNREACHABLE: ("Relay unreachable for a day", "Relais injoignable depuis un jour"),
    KEY_CHANGED: ("New signing key", "Nouvelle clé de signature"),
    DAY_CONFIRMED: ("Business day confirmed by a person", "Journée confirmée par l'opérateur"),
}
"""Code -> what it means, in English and in French."""


def build_jet(code: int, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The payload of a technical event; ``data`` has English keys. Raises ``ValueError`` for no code."""
    if type(code) is not int or code <= 0:
        raise ValueError(f"{code!r} is not the code of a technical event")
    return {"code": code, "data": dict(data or {})}
