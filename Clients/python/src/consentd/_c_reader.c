// The C reader as a type of Python. A check takes no step of Python's own: subject and purpose are looked at here, and
// answers that were made before are handed out again, as they cannot be changed.
//
// Everything happens under the interpreter's lock, so one handle serves all threads.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "consent_reader.h"

#include <stdbool.h>
#include <string.h>

enum { DECISIONS = 3, REASONS = 14, FRESHNESSES = 3 };

typedef struct {
    PyObject *answer;
    uint64_t sequence;
} made_answer;

typedef struct {
    PyObject_HEAD
    consent_reader *reader;
    // What answers are made of: the class, and the members of its enumerations by their codes.
    PyObject *answer_class, *decisions, *reasons, *freshnesses;
    PyObject *unknown_purpose, *invalid_argument, *unavailable;
    PyObject *bits;  // of the purposes that were asked for, by name
    made_answer made[DECISIONS][REASONS][FRESHNESSES];
} reader_object;

static PyObject *name_type, *name_value, *name_decision, *name_reason, *name_freshness, *name_sequence;

static int reader_init(PyObject *self, PyObject *arguments, PyObject *keywords) {
    reader_object *own = (reader_object *)self;
    PyObject *folder, *answer_class, *decisions, *reasons, *freshnesses, *unknown, *invalid, *unavailable;
    if (keywords && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "a reader takes no keywords");
        return -1;
    }
    if (own->bits) {
        PyErr_SetString(PyExc_TypeError, "a reader is opened once");
        return -1;
    }
    if (!PyArg_ParseTuple(
            arguments, "O&O!O!O!O!OOO", PyUnicode_FSConverter, &folder, &PyType_Type, &answer_class, &PyTuple_Type,
            &decisions, &PyTuple_Type, &reasons, &PyTuple_Type, &freshnesses, &unknown, &invalid, &unavailable)) {
        return -1;
    }
    own->answer_class = Py_NewRef(answer_class);
    own->decisions = Py_NewRef(decisions);
    own->reasons = Py_NewRef(reasons);
    own->freshnesses = Py_NewRef(freshnesses);
    own->unknown_purpose = Py_NewRef(unknown);
    own->invalid_argument = Py_NewRef(invalid);
    own->unavailable = Py_NewRef(unavailable);
    own->bits = PyDict_New();
    const char *path = PyBytes_AsString(folder);
    int error = path && own->bits ? consent_reader_open(path, &own->reader) : CONSENT_READER_NO_MEMORY;
    Py_DECREF(folder);
    if (error == CONSENT_READER_OK) return 0;
    if (!PyErr_Occurred()) PyErr_SetString(own->unavailable, consent_reader_error_text(error));
    return -1;
}

static void forget_answers(reader_object *own) {
    for (int decision = 0; decision < DECISIONS; decision++) {
        for (int reason = 0; reason < REASONS; reason++) {
            for (int freshness = 0; freshness < FRESHNESSES; freshness++) {
                Py_CLEAR(own->made[decision][reason][freshness].answer);
            }
        }
    }
}

static void reader_dealloc(PyObject *self) {
    reader_object *own = (reader_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    consent_reader_close(own->reader);
    forget_answers(own);
    Py_XDECREF(own->answer_class);
    Py_XDECREF(own->decisions);
    Py_XDECREF(own->reasons);
    Py_XDECREF(own->freshnesses);
    Py_XDECREF(own->unknown_purpose);
    Py_XDECREF(own->invalid_argument);
    Py_XDECREF(own->unavailable);
    Py_XDECREF(own->bits);
    free_object(self);
    Py_DECREF(type);
}

static PyObject *reader_close(PyObject *self, PyObject *none) {
    (void)none;
    reader_object *own = (reader_object *)self;
    consent_reader_close(own->reader);
    own->reader = NULL;
    Py_RETURN_NONE;
}

// The bit of a purpose, which stays known as long as the reader is open; -1 with an exception set.
static int64_t bit_of(reader_object *own, PyObject *purpose) {
    if (!own->reader) {
        PyErr_SetString(own->unavailable, "the reader is closed");
        return -1;
    }
    PyObject *known = PyDict_GetItemWithError(own->bits, purpose);
    if (known) return PyLong_AsLongLong(known);
    if (PyErr_Occurred()) return -1;
    Py_ssize_t size;
    const char *id = PyUnicode_AsUTF8AndSize(purpose, &size);
    if (!id) return -1;
    uint32_t bit;
    bool is_text = strlen(id) == (size_t)size;
    if (!is_text || consent_reader_purpose(own->reader, id, &bit) != CONSENT_READER_OK) {
        PyErr_SetObject(own->unknown_purpose, purpose);
        return -1;
    }
    known = PyLong_FromUnsignedLong(bit);
    int problem = known ? PyDict_SetItem(own->bits, purpose, known) : -1;
    Py_XDECREF(known);
    return problem == 0 ? (int64_t)bit : -1;
}

// Takes a reference to the text that the identifier points into; null with an exception set.
static PyObject *identifier_of(PyObject *subject, consent_identifier *identifier) {
    PyObject *type = PyObject_GetAttr(subject, name_type);
    if (!type) return NULL;
    unsigned long code = PyLong_AsUnsignedLong(type);
    Py_DECREF(type);
    if (PyErr_Occurred()) return NULL;
    PyObject *value = PyObject_GetAttr(subject, name_value);
    Py_ssize_t size;
    identifier->value = value ? PyUnicode_AsUTF8AndSize(value, &size) : NULL;
    if (!identifier->value) {
        Py_XDECREF(value);
        return NULL;
    }
    identifier->size = (size_t)size;
    // A type that does not fit is none that is known.
    identifier->type = code > UINT8_MAX ? 0 : (uint8_t)code;
    return value;
}

// As the class would make it, past its refusal to be changed.
static PyObject *make_answer(reader_object *own, const consent_answer *answer) {
    PyObject *made = PyType_GenericAlloc((PyTypeObject *)own->answer_class, 0);
    PyObject *sequence = PyLong_FromUnsignedLongLong(answer->sequence);
    PyObject *decision = PyTuple_GetItem(own->decisions, answer->decision);
    PyObject *reason = PyTuple_GetItem(own->reasons, answer->reason);
    PyObject *freshness = PyTuple_GetItem(own->freshnesses, answer->freshness);
    bool is_made = made && sequence && decision && reason && freshness
        && PyObject_GenericSetAttr(made, name_decision, decision) == 0
        && PyObject_GenericSetAttr(made, name_reason, reason) == 0
        && PyObject_GenericSetAttr(made, name_freshness, freshness) == 0
        && PyObject_GenericSetAttr(made, name_sequence, sequence) == 0;
    Py_XDECREF(sequence);
    if (is_made) return made;
    Py_XDECREF(made);
    return NULL;
}

static PyObject *reader_check(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
    reader_object *own = (reader_object *)self;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "check takes a subject and a purpose");
        return NULL;
    }
    int64_t bit = bit_of(own, arguments[1]);
    if (bit < 0) return NULL;
    consent_identifier identifier;
    PyObject *value = identifier_of(arguments[0], &identifier);
    if (!value) return NULL;
    consent_answer answer;
    consent_reader_check(own->reader, identifier.type, identifier.value, identifier.size, (uint32_t)bit, &answer);
    Py_DECREF(value);
    if (answer.error == CONSENT_READER_IDENTIFIER_INVALID) {
        PyErr_SetString(own->invalid_argument, "an identifier has no normal form");
        return NULL;
    }
    made_answer *made = &own->made[answer.decision][answer.reason][answer.freshness];
    if (!made->answer || made->sequence != answer.sequence) {
        PyObject *fresh = make_answer(own, &answer);
        if (!fresh) return NULL;
        PyObject *old = made->answer;
        made->answer = fresh;
        Py_XDECREF(old);
        made->sequence = answer.sequence;
    }
    return Py_NewRef(made->answer);
}

// The decisions as bytes, the worst freshness, the oldest sequence.
static PyObject *result_of(reader_object *own, const consent_answer *answers, Py_ssize_t count) {
    PyObject *decisions = PyBytes_FromStringAndSize(NULL, count);
    char *bytes = decisions ? PyBytes_AsString(decisions) : NULL;
    if (!bytes) return NULL;
    uint8_t worst = count == 0 ? CONSENT_UNAVAILABLE : CONSENT_LIVE;
    uint64_t oldest = count == 0 ? 0 : UINT64_MAX;
    for (Py_ssize_t position = 0; position < count; position++) {
        const consent_answer *answer = answers + position;
        if (answer->error == CONSENT_READER_IDENTIFIER_INVALID) {
            Py_DECREF(decisions);
            PyErr_SetString(own->invalid_argument, "an identifier has no normal form");
            return NULL;
        }
        bytes[position] = (char)answer->decision;
        if (answer->freshness > worst) worst = answer->freshness;
        if (answer->sequence < oldest) oldest = answer->sequence;
    }
    PyObject *result = Py_BuildValue("(NiK)", decisions, (int)worst, (unsigned long long)oldest);
    return result;
}

static PyObject *reader_check_many(PyObject *self, PyObject *arguments) {
    reader_object *own = (reader_object *)self;
    PyObject *subjects, *purpose;
    if (!PyArg_ParseTuple(arguments, "O!U", &PyList_Type, &subjects, &purpose)) return NULL;
    int64_t bit = bit_of(own, purpose);
    if (bit < 0) return NULL;
    Py_ssize_t count = PyList_Size(subjects), held = 0;
    // One more, as room for nothing may be nothing.
    consent_identifier *identifiers = PyMem_Calloc((size_t)count + 1, sizeof *identifiers);
    consent_answer *answers = PyMem_Calloc((size_t)count + 1, sizeof *answers);
    PyObject **values = PyMem_Calloc((size_t)count + 1, sizeof *values), *result = NULL;
    if (!identifiers || !answers || !values) PyErr_NoMemory();
    // What is looked at in between is the class's own, and may shorten the list.
    for (; !PyErr_Occurred() && held < count; held++) {
        PyObject *subject = PyList_GetItem(subjects, held);
        Py_XINCREF(subject);
        values[held] = subject ? identifier_of(subject, identifiers + held) : NULL;
        Py_XDECREF(subject);
        if (!values[held]) break;
    }
    if (!PyErr_Occurred() && own->reader) {
        consent_reader_check_many(own->reader, identifiers, (size_t)count, (uint32_t)bit, answers);
        result = result_of(own, answers, count);
    }
    for (Py_ssize_t position = 0; position < held; position++) Py_DECREF(values[position]);
    PyMem_Free(identifiers);
    PyMem_Free(answers);
    PyMem_Free(values);
    if (!result && !PyErr_Occurred()) PyErr_SetString(own->unavailable, "the reader is closed");
    return result;
}

static PyMethodDef methods[] = {
    {"check", (PyCFunction)(void (*)(void))reader_check, METH_FASTCALL,
     "May this person's data be used for this purpose, now?"},
    {"_check_many", reader_check_many, METH_VARARGS, "Decisions as bytes, worst freshness, oldest sequence."},
    {"close", reader_close, METH_NOARGS, "Lets go of the index. A check raises IndexUnavailable then."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The C reader: checks from a mapped index."},
    {Py_tp_init, reader_init},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_methods, methods},
    {0, NULL}};

static PyType_Spec spec = {
    "consentd._c_reader.Reader", sizeof(reader_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_c_reader", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__c_reader(void) {
    name_type = PyUnicode_InternFromString("type");
    name_value = PyUnicode_InternFromString("value");
    name_decision = PyUnicode_InternFromString("decision");
    name_reason = PyUnicode_InternFromString("reason");
    name_freshness = PyUnicode_InternFromString("freshness");
    name_sequence = PyUnicode_InternFromString("sequence");
    if (PyErr_Occurred()) return NULL;
    PyObject *module = PyModule_Create(&definition), *type = PyType_FromSpec(&spec);
    if (module && type && PyModule_AddObjectRef(module, "Reader", type) == 0) {
        Py_DECREF(type);
        return module;
    }
    Py_XDECREF(type);
    Py_XDECREF(module);
    return NULL;
}
